/* context.ts - programs and textures of WebGL2. */
import whole from './whole.vert.glsl'

export type GL = WebGL2RenderingContext

function shader (gl: GL, kind: number, source: string): WebGLShader {
  const s = gl.createShader(kind)
  if (!s) throw new Error('WebGL2 makes no shader')
  gl.shaderSource(s, source)
  gl.compileShader(s)
  if (!gl.getShaderParameter(s, gl.COMPILE_STATUS) && !gl.isContextLost()) throw new Error(gl.getShaderInfoLog(s) ?? 'shader')
  return s
}

/* A program that covers everything; its uniforms are looked up once. */
export class Program {
  readonly gl: GL
  private readonly program: WebGLProgram
  private readonly places = new Map<string, WebGLUniformLocation | null>()

  constructor (gl: GL, fragment: string) {
    this.gl = gl
    this.program = gl.createProgram()
    gl.attachShader(this.program, shader(gl, gl.VERTEX_SHADER, whole))
    gl.attachShader(this.program, shader(gl, gl.FRAGMENT_SHADER, fragment))
    gl.linkProgram(this.program)
    if (!gl.getProgramParameter(this.program, gl.LINK_STATUS) && !gl.isContextLost()) throw new Error(gl.getProgramInfoLog(this.program) ?? 'program')
  }

  use (): void {
    this.gl.useProgram(this.program)
  }

  at (name: string): WebGLUniformLocation | null {
    let place = this.places.get(name)
    if (place === undefined) {
      place = this.gl.getUniformLocation(this.program, name)
      this.places.set(name, place)
    }
    return place
  }

  texture (name: string, unit: number, t: WebGLTexture | null): void {
    this.gl.activeTexture(this.gl.TEXTURE0 + unit)
    this.gl.bindTexture(this.gl.TEXTURE_2D, t)
    this.gl.uniform1i(this.at(name), unit)
  }

  draw (): void {
    this.gl.drawArrays(this.gl.TRIANGLES, 0, 3)
  }
}

/* Programs of one text, compiled when first needed, each for what is defined. They are small, because they have only what
 * their kind of work needs: that is what makes them fast where there is no graphics card. */
export class Programs {
  private readonly gl: GL
  private readonly text: string
  private readonly known = new Map<string, Program>()

  constructor (gl: GL, text: string) {
    this.gl = gl
    this.text = text
  }

  get (defines: string[]): Program {
    const key = defines.join()
    const program = this.known.get(key) ?? new Program(this.gl, this.text.replace('\n', `\n${defines.map((d) => `#define ${d}\n`).join('')}`))
    this.known.set(key, program)
    return program
  }
}

export function texture (gl: GL, filter: number): WebGLTexture {
  const t = gl.createTexture()
  gl.bindTexture(gl.TEXTURE_2D, t)
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, filter)
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST)
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE)
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE)
  return t
}
