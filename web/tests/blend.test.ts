/* Expected values are computed from the formulas as the W3C's "Compositing and Blending Level 1" prints them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BLEND_MODES, type BlendMode } from '../src/api/types.ts'
import { blendPixel, mix, modeNumber, type Colour } from '../src/canvas/blend.ts'

const LEVELS = [0, 1, 51, 64, 127, 128, 200, 254, 255]

const published: Partial<Record<BlendMode, (cb: number, cs: number) => number>> = {
  normal: (_, cs) => cs,
  multiply: (cb, cs) => cb * cs,
  screen: (cb, cs) => 1 - (1 - cb) * (1 - cs),
  overlay: (cb, cs) => cb <= 0.5 ? cs * 2 * cb : 1 - (1 - cs) * (1 - (2 * cb - 1)),
  darken: (cb, cs) => Math.min(cb, cs),
  lighten: (cb, cs) => Math.max(cb, cs),
  'color-dodge': (cb, cs) => cb === 0 ? 0 : cs === 1 ? 1 : Math.min(1, cb / (1 - cs)),
  'color-burn': (cb, cs) => cb === 1 ? 1 : cs === 0 ? 0 : 1 - Math.min(1, (1 - cb) / cs),
  'hard-light': (cb, cs) => cs <= 0.5 ? cb * 2 * cs : 1 - (1 - cb) * (1 - (2 * cs - 1)),
  'soft-light': (cb, cs) => {
    const d = cb <= 0.25 ? ((16 * cb - 12) * cb + 4) * cb : Math.sqrt(cb)
    return cs <= 0.5 ? cb - (1 - 2 * cs) * cb * (1 - cb) : cb + (2 * cs - 1) * (d - cb)
  },
  difference: (cb, cs) => Math.abs(cb - cs),
  exclusion: (cb, cs) => cb + cs - 2 * cb * cs,
  add: (cb, cs) => Math.min(1, cb + cs)
}

const lum = (c: Colour): number => 0.3 * c[0] + 0.59 * c[1] + 0.11 * c[2]
const sat = (c: Colour): number => Math.max(...c) - Math.min(...c)
const close = (a: number, b: number, what: string): void => { assert.ok(Math.abs(a - b) < 1e-9, `${what}: ${a} is not ${b}`) }

test('separable modes are the published formulas', () => {
  for (const [mode, f] of Object.entries(published)) {
    for (const b of LEVELS) {
      for (const s of LEVELS) {
        const [c] = mix([b / 255, 0, 0], [s / 255, 0, 0], mode as BlendMode)
        close(c, f(b / 255, s / 255), `${mode} of ${s} on ${b}`)
      }
    }
  }
})

test('the other modes keep what they are named for', () => {
  const b: Colour = [0.2, 0.5, 0.6]
  const s: Colour = [0.7, 0.4, 0.3]
  close(lum(mix(b, s, 'hue')), lum(b), 'hue keeps luminosity')
  close(sat(mix(b, s, 'hue')), sat(b), 'hue keeps saturation')
  close(sat(mix(b, s, 'saturation')), sat(s), 'saturation takes the saturation')
  close(lum(mix(b, s, 'color')), lum(b), 'color keeps luminosity')
  close(lum(mix(b, s, 'luminosity')), lum(s), 'luminosity takes the luminosity')
})

test('a colour that leaves the range is moved towards grey', () => {
  const c = mix([1, 1, 0.9], [1, 0, 0], 'color')
  close(lum(c), lum([1, 1, 0.9]), 'luminosity')
  assert.ok(c.every((v) => v >= 0 && v <= 1))
})

function blended (under: number[], over: number[], opacity: number, mode: BlendMode): number[] {
  const canvas = Uint8ClampedArray.from(under)
  blendPixel(canvas, 0, Uint8ClampedArray.from(over), 0, opacity, mode)
  return [...canvas]
}

test('the formula composes straight colours and rounds once', () => {
  /* as = 128/255, ab = 64/255: ao = as + ab (1 - as); co = (cs as + cb ab (1 - as)) / ao */
  const as = 128 / 255
  const ab = 64 / 255
  const ao = as + ab * (1 - as)
  const co = (cs: number, cb: number): number => Math.round((cs * as + cb * ab * (1 - as)) / ao)
  assert.deepEqual(blended([10, 200, 30, 64], [250, 0, 90, 128], 1, 'normal'), [co(250, 10), co(0, 200), co(90, 30), Math.round(ao * 255)])
})

test('what covers is copied, what is transparent leaves the canvas as it is', () => {
  assert.deepEqual(blended([1, 2, 3, 4], [9, 8, 7, 255], 1, 'normal'), [9, 8, 7, 255])
  assert.deepEqual(blended([1, 2, 3, 0], [9, 8, 7, 3], 1, 'hue'), [9, 8, 7, 3])
  assert.deepEqual(blended([1, 2, 3, 4], [9, 8, 7, 0], 1, 'screen'), [1, 2, 3, 4])
  assert.deepEqual(blended([1, 2, 3, 4], [9, 8, 7, 200], 0, 'screen'), [1, 2, 3, 4])
})

test("modes have the shader's numbers", () => {
  assert.equal(modeNumber('normal'), 0)
  assert.equal(modeNumber('add'), 12)
  assert.equal(modeNumber('luminosity'), BLEND_MODES.length - 1)
})
