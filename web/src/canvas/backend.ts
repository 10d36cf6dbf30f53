/* backend.ts - what a scene needs of the thing that blends pixels: WebGL2 (gl/), or the processor (cpu/).
 *
 * A surface holds RGBA with straight alpha, 8 bits a channel, its first row on top. */
import type { BlendMode } from '../api/types.ts'
import type { Box, Matrix } from '../state/matrix.ts'

/* Pixels of an asset, ready to be drawn; perhaps smaller than the asset. */
export interface Texture { width: number, height: number }
export interface Surface { width: number, height: number }

/* What a layer looks like on a surface. */
export interface Drawing<P extends Texture, S extends Surface> {
  source: P | S
  mask: P | null
  /* Where the source's upper left pixel lies when nothing is resampled. */
  shift: { x: number, y: number } | null
  /* Else: points of the source onto the surface. */
  matrix: Matrix
  opacity: number
  mode: BlendMode
}

export interface Backend<P extends Texture, S extends Surface> {
  /* The largest side of a surface or texture. */
  readonly most: number
  texture: (bitmap: ImageBitmap) => P
  drop: (p: P) => void
  surface: (width: number, height: number) => S
  free: (s: S) => void
  clear: (s: S, part: Box) => void
  copy: (from: S, to: S, part: Box) => void
  /* Blends within `part`, which lies on the surface. */
  blend: (to: S, drawing: Drawing<P, S>, part: Box) => void
  read: (s: S, part: Box) => Uint8ClampedArray
  /* One pixel of a texture: RGBA. */
  texel: (t: P, x: number, y: number) => Uint8ClampedArray
}
