/* screen.ts - the composed images onto the screen by WebGL2: one quad, whatever the number of layers. */
import type { Levels, View, Screen, Shown } from '../screen.ts'
import type { Box } from '../../state/matrix.ts'
import type { GLSurface } from './backend.ts'
import { Program, Programs, texture, type GL } from './context.ts'
import screenShader from './screen.frag.glsl'
import smoothShader from './smooth.frag.glsl'

const COMPARING = { first: 0, second: 1, curtain: 2, difference: 3 }

/* A premultiplied copy of a surface with its smaller versions, made anew when the surface has changed and it is looked at. */
class Smooth {
  private readonly gl: GL
  private texture: WebGLTexture | null = null
  private frame: WebGLFramebuffer | null = null
  private of: GLSurface | null = null
  private version = -1

  constructor (gl: GL) { this.gl = gl }

  private fit (s: GLSurface): void {
    const { gl } = this
    if (this.texture) gl.deleteTexture(this.texture)
    this.texture = texture(gl, gl.LINEAR_MIPMAP_LINEAR)
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.LINEAR)
    gl.texStorage2D(gl.TEXTURE_2D, 1 + Math.floor(Math.log2(Math.max(s.width, s.height))), gl.RGBA8, s.width, s.height)
    this.frame ??= gl.createFramebuffer()
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.frame)
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, this.texture, 0)
    this.of = s
  }

  update (shown: Shown<GLSurface>, program: Program): WebGLTexture | null {
    const { gl } = this
    const { surface, version } = shown
    if (this.of === surface && this.version === version) return this.texture
    if (this.of !== surface) this.fit(surface)
    this.version = version
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.frame)
    gl.disable(gl.SCISSOR_TEST)
    gl.disable(gl.BLEND)
    gl.viewport(0, 0, surface.width, surface.height)
    program.use()
    program.texture('source', 0, surface.texture)
    program.draw()
    gl.bindTexture(gl.TEXTURE_2D, this.texture)
    gl.generateMipmap(gl.TEXTURE_2D)
    return this.texture
  }
}

export class GLScreen implements Screen<GLSurface> {
  private readonly gl: GL
  private readonly programs: Programs
  private readonly premultiply: Program
  private readonly smooth: [Smooth, Smooth]
  private readonly none: WebGLTexture
  private levels: { texture: WebGLTexture, width: number, height: number } | null = null

  constructor (gl: GL) {
    this.gl = gl
    this.programs = new Programs(gl, screenShader)
    this.premultiply = new Program(gl, smoothShader)
    this.smooth = [new Smooth(gl), new Smooth(gl)]
    this.none = texture(gl, gl.NEAREST)
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, 1, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4))
  }

  draw (p: View<GLSurface>): void {
    const { gl } = this
    const second = p.second ?? p.first
    const smoothly = p.zoom < 1
    const veiled = this.levels !== null && p.veil > 0
    const program = this.programs.get([...smoothly ? ['SMOOTH'] : [], ...p.second ? ['COMPARED'] : [], ...veiled ? ['VEILED'] : []])
    const smooth = smoothly
      ? [this.smooth[0].update(p.first, this.premultiply), p.second ? this.smooth[1].update(p.second, this.premultiply) : null]
      : []
    gl.bindFramebuffer(gl.FRAMEBUFFER, null)
    gl.disable(gl.SCISSOR_TEST)
    gl.disable(gl.BLEND)
    gl.viewport(0, 0, gl.drawingBufferWidth, gl.drawingBufferHeight)
    program.use()
    program.texture('image_0', 0, p.first.surface.texture)
    program.texture('image_1', 1, second.surface.texture)
    program.texture('smooth_0', 2, smooth[0] ?? this.none)
    program.texture('smooth_1', 3, smooth[1] ?? this.none)
    program.texture('levels', 4, this.levels?.texture ?? this.none)
    this.uniforms(program, p, second)
    program.draw()
  }

  private uniforms (program: Program, p: View<GLSurface>, second: Shown<GLSurface>): void {
    const { gl } = this
    const one = (name: string, v: number): void => { gl.uniform1f(program.at(name), v) }
    const boxes = [p.first.frame, second.frame].flatMap((b) => [b.x, b.y, b.w, b.h])
    gl.uniform2f(program.at('area'), gl.drawingBufferWidth, gl.drawingBufferHeight)
    gl.uniform2f(program.at('pan'), p.pan.x * p.ratio, p.pan.y * p.ratio)
    gl.uniform4fv(program.at('frame'), boxes)
    gl.uniform4f(program.at('canvas'), p.canvas.x, p.canvas.y, p.canvas.w, p.canvas.h)
    gl.uniform3fv(program.at('check_a'), p.checks[0])
    gl.uniform3fv(program.at('check_b'), p.checks[1])
    gl.uniform1i(program.at('comparing'), COMPARING[p.comparing])
    one('zoom', p.zoom * p.ratio)
    one('curtain', p.curtain * p.ratio)
    one('unit', p.ratio)
    one('veil', p.veil)
    gl.uniform1i(program.at('grid'), p.grid ? 1 : 0)
  }

  veil (levels: Levels | null, part: Box): void {
    const { gl } = this
    if (this.levels && (!levels || levels.width !== this.levels.width || levels.height !== this.levels.height)) {
      gl.deleteTexture(this.levels.texture)
      this.levels = null
    }
    if (!levels) return
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1)
    if (this.levels) this.replace(this.levels.texture, levels, part)
    else this.levels = this.load(levels)
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 4)
  }

  private load (l: Levels): { texture: WebGLTexture, width: number, height: number } {
    const { gl } = this
    const t = texture(gl, gl.LINEAR)
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.R8, l.width, l.height, 0, gl.RED, gl.UNSIGNED_BYTE, l.data)
    return { texture: t, width: l.width, height: l.height }
  }

  private replace (t: WebGLTexture, l: Levels, part: Box): void {
    const { gl } = this
    gl.bindTexture(gl.TEXTURE_2D, t)
    gl.pixelStorei(gl.UNPACK_ROW_LENGTH, l.width)
    gl.pixelStorei(gl.UNPACK_SKIP_PIXELS, part.x)
    gl.pixelStorei(gl.UNPACK_SKIP_ROWS, part.y)
    gl.texSubImage2D(gl.TEXTURE_2D, 0, part.x, part.y, part.w, part.h, gl.RED, gl.UNSIGNED_BYTE, l.data)
    for (const k of [gl.UNPACK_ROW_LENGTH, gl.UNPACK_SKIP_PIXELS, gl.UNPACK_SKIP_ROWS]) gl.pixelStorei(k, 0)
  }
}
