/* backend.ts - layers blended by WebGL2.
 *
 * A shader cannot read the surface that it draws to; what lies under a layer is copied to a second texture first,
 * only as far as the layer reaches. */
import type { Backend, Drawing, Surface, Texture } from '../backend.ts'
import { modeNumber } from '../blend.ts'
import { intersect, invert, isEmpty, type Box, type Matrix } from '../../state/matrix.ts'
import { samplingOf, type Sampling } from '../sampling.ts'
import { Programs, texture, type GL, type Program } from './context.ts'
import layerShader from './layer.frag.glsl'

export interface GLTexture extends Texture { texture: WebGLTexture }
export interface GLSurface extends Surface { texture: WebGLTexture, frame: WebGLFramebuffer }

export class GLBackend implements Backend<GLTexture, GLSurface> {
  readonly gl: GL
  readonly most: number
  private readonly programs: Programs
  private under: GLSurface | null = null
  private lookingGlass: WebGLFramebuffer | null = null // to read textures through

  constructor (gl: GL) {
    this.gl = gl
    this.most = gl.getParameter(gl.MAX_TEXTURE_SIZE) as number
    this.programs = new Programs(gl, layerShader)
    gl.disable(gl.DITHER)
    gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false)
    gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE)
  }

  texture (bitmap: ImageBitmap): GLTexture {
    const { gl } = this
    const t = texture(gl, gl.NEAREST)
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, gl.RGBA, gl.UNSIGNED_BYTE, bitmap)
    return { texture: t, width: bitmap.width, height: bitmap.height }
  }

  drop (p: GLTexture): void {
    this.gl.deleteTexture(p.texture)
  }

  surface (width: number, height: number): GLSurface {
    const { gl } = this
    const t = texture(gl, gl.NEAREST)
    gl.texStorage2D(gl.TEXTURE_2D, 1, gl.RGBA8, width, height)
    const frame = gl.createFramebuffer()
    gl.bindFramebuffer(gl.FRAMEBUFFER, frame)
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, t, 0)
    return { texture: t, frame, width, height }
  }

  free (s: GLSurface): void {
    this.gl.deleteTexture(s.texture)
    this.gl.deleteFramebuffer(s.frame)
  }

  clear (s: GLSurface, part: Box): void {
    const { gl } = this
    this.aim(s, part)
    gl.clearColor(0, 0, 0, 0)
    gl.clear(gl.COLOR_BUFFER_BIT)
  }

  copy (from: GLSurface, to: GLSurface, part: Box): void {
    const { gl } = this
    const p = intersect(part, { x: 0, y: 0, w: Math.min(from.width, to.width), h: Math.min(from.height, to.height) })
    if (isEmpty(p)) return
    gl.bindFramebuffer(gl.READ_FRAMEBUFFER, from.frame)
    gl.activeTexture(gl.TEXTURE0)
    gl.bindTexture(gl.TEXTURE_2D, to.texture)
    gl.copyTexSubImage2D(gl.TEXTURE_2D, 0, p.x, p.y, p.x, p.y, p.w, p.h)
  }

  /* Draws go to `part` of the surface. */
  private aim (s: GLSurface, part: Box): void {
    const { gl } = this
    gl.bindFramebuffer(gl.FRAMEBUFFER, s.frame)
    gl.viewport(0, 0, s.width, s.height)
    gl.enable(gl.SCISSOR_TEST)
    gl.disable(gl.BLEND)
    gl.scissor(part.x, part.y, part.w, part.h)
  }

  private backdrop (like: GLSurface): GLSurface {
    if (this.under && (this.under.width < like.width || this.under.height < like.height)) {
      this.free(this.under)
      this.under = null
    }
    this.under ??= this.surface(like.width, like.height)
    return this.under
  }

  blend (to: GLSurface, d: Drawing<GLTexture, GLSurface>, part: Box): void {
    const { gl } = this
    const inverse = d.shift ? null : invert(d.matrix)
    if (isEmpty(part) || (!d.shift && !inverse)) return
    const under = this.backdrop(to)
    this.copy(to, under, part)
    this.aim(to, part)
    const how = inverse && samplingOf(inverse)
    const sampling = how ? (how.lanczos ? ['LANCZOS'] : []) : ['EXACT']
    const layer = this.programs.get([`MODE ${modeNumber(d.mode)}`, ...sampling, ...d.mask ? ['MASKED'] : []])
    layer.use()
    layer.texture('backdrop', 0, under.texture)
    layer.texture('source', 1, d.source.texture)
    if (d.mask) layer.texture('mask', 2, d.mask.texture)
    gl.uniform1f(layer.at('opacity'), d.opacity)
    if (d.shift) gl.uniform2i(layer.at('shift'), d.shift.x, d.shift.y)
    if (inverse && how) this.place(layer, inverse, how)
    layer.draw()
  }

  private place (layer: Program, m: Matrix, how: Sampling): void {
    const { gl } = this
    gl.uniformMatrix3fv(layer.at('inverse_m'), false, [m.a, m.b, 0, m.c, m.d, 0, m.e, m.f, 1])
    gl.uniform2f(layer.at('per'), how.perX, how.perY)
    gl.uniform2i(layer.at('taps'), how.tapsX, how.tapsY)
  }

  read (s: GLSurface, part: Box): Uint8ClampedArray {
    return this.readFrame(s.frame, part)
  }

  texel (t: GLTexture, x: number, y: number): Uint8ClampedArray {
    const { gl } = this
    this.lookingGlass ??= gl.createFramebuffer()
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.lookingGlass)
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, t.texture, 0)
    return this.readFrame(this.lookingGlass, { x, y, w: 1, h: 1 })
  }

  private readFrame (frame: WebGLFramebuffer, part: Box): Uint8ClampedArray {
    const { gl } = this
    const out = new Uint8Array(4 * part.w * part.h)
    gl.bindFramebuffer(gl.FRAMEBUFFER, frame)
    gl.readPixels(part.x, part.y, part.w, part.h, gl.RGBA, gl.UNSIGNED_BYTE, out)
    return new Uint8ClampedArray(out.buffer)
  }
}
