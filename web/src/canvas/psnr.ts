/* psnr.ts - how far two images differ, in decibels over all channels, as image/composite.h has it. Pure. */

/* Infinity when they are equal. */
export function psnr (a: Uint8ClampedArray, b: Uint8ClampedArray): number {
  let squares = 0
  for (let i = 0; i < a.length; i++) {
    const d = (a[i] ?? 0) - (b[i] ?? 0)
    squares += d * d
  }
  return squares === 0 ? Infinity : 10 * Math.log10(255 * 255 * a.length / squares)
}
