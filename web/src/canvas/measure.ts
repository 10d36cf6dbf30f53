/* measure.ts - how long frames take while the canvas is moved. */
import { panBy } from './viewport.ts'

export interface PanTimes { frames: number, mean: number, p95: number, longest: number }

const nextFrame = async (): Promise<number> => await new Promise((resolve) => { requestAnimationFrame(resolve) })

/* Pans to and fro; milliseconds between frames. */
export async function measurePan (frames = 120): Promise<PanTimes> {
  const times: number[] = []
  let last = await nextFrame()
  for (let i = 0; i < frames; i++) {
    panBy(i % 60 < 30 ? 4 : -4, i % 40 < 20 ? 3 : -3)
    const now = await nextFrame()
    times.push(now - last)
    last = now
  }
  const sorted = [...times].sort((a, b) => a - b)
  return {
    frames,
    mean: times.reduce((sum, t) => sum + t, 0) / frames,
    p95: sorted[Math.floor(0.95 * (frames - 1))] ?? 0,
    longest: sorted[frames - 1] ?? 0
  }
}
