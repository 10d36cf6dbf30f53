/* sampling.ts - how a layer that is scaled or turned is sampled; the same for the card and the processor. Pure.
 *
 * The server resizes by Lanczos and turns by bilinear samples. What is not scaled is only turned; what is scaled is filtered
 * by Lanczos in one pass, until it is reduced so far that the filter would read too much: then by the mean of the pixel. */
import type { Matrix } from '../state/matrix.ts'

export interface Sampling { perX: number, perY: number, tapsX: number, tapsY: number, lanczos: boolean }

const MOST_TAPS = 16
const LEAST_LANCZOS = 0.4

const isOne = (per: number): boolean => Math.abs(per - 1) < 1e-4
const taps = (per: number): number => Math.min(MOST_TAPS, Math.max(1, Math.ceil(1 / per - 1e-6)))

/* `inverse`: points of the surface to points of the source. */
export function samplingOf (inverse: Matrix): Sampling {
  const perX = 1 / Math.hypot(inverse.a, inverse.c)
  const perY = 1 / Math.hypot(inverse.b, inverse.d)
  const lanczos = !(isOne(perX) && isOne(perY)) && Math.min(perX, perY) >= LEAST_LANCZOS
  return { perX, perY, tapsX: taps(perX), tapsY: taps(perY), lanczos }
}

export function lanczosWeight (x: number): number {
  if (Math.abs(x) < 1e-5) return 1
  return Math.abs(x) >= 3 ? 0 : 3 * Math.sin(Math.PI * x) * Math.sin(Math.PI * x / 3) / (Math.PI * Math.PI * x * x)
}
