/* screen.ts - what a screen shows of the composed images; gl/screen.ts and cpu/screen.ts draw it. */
import type { Surface } from './backend.ts'
import type { Box, Point } from '../state/matrix.ts'

export type Rgb = [number, number, number]

/* A composed image: what part of the canvas it shows, and a number that grows with each change. */
export interface Shown<S extends Surface> { surface: S, frame: Box, version: number }

export interface View<S extends Surface> {
  first: Shown<S>
  second: Shown<S> | null
  comparing: 'first' | 'second' | 'curtain' | 'difference'
  curtain: number // CSS pixels from the left
  pan: Point // CSS pixels
  zoom: number // CSS pixels a canvas pixel
  ratio: number // device pixels a CSS pixel
  checks: [Rgb, Rgb]
  grid: boolean
  canvas: Box
  veil: number
}

/* Grey levels that are stretched over the canvas: where they are white, the veil lies. */
export interface Levels { width: number, height: number, data: Uint8Array }

export interface Screen<S extends Surface> {
  draw: (p: View<S>) => void
  /* Takes over what changed of the levels within `part`; null: there are none. */
  veil: (levels: Levels | null, part: Box) => void
}
