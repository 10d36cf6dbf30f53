/* ticks.ts - where a ruler has lines and numbers. Pure. */
const APART = 64 // CSS pixels between numbers, at least
const FINE_APART = 6

export interface Tick { at: number, screen: number, large: boolean }

/* 1, 2 or 5 times a power of ten, at least one pixel. */
export function stepFor (zoom: number): number {
  const least = APART / zoom
  const power = 10 ** Math.floor(Math.log10(least))
  const step = [1, 2, 5, 10].map((k) => k * power).find((s) => s >= least) ?? 10 * power
  return Math.max(1, step)
}

/* Of a ruler of `length` CSS pixels whose zero lies at `pan`. */
export function ticks (length: number, pan: number, zoom: number): Tick[] {
  const step = stepFor(zoom)
  const fine = [10, 5, 2].map((n) => step / n).find((s) => s * zoom >= FINE_APART && Number.isInteger(s)) ?? step
  const out: Tick[] = []
  for (let n = Math.ceil(-pan / zoom / fine); n * fine * zoom + pan <= length; n++) {
    const at = n * fine
    out.push({ at, screen: at * zoom + pan, large: Math.abs(at / step - Math.round(at / step)) < 1e-6 })
  }
  return out
}
