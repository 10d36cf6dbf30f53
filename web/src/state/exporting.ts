/* exporting.ts - what the export dialog offers, and the request that it means. Pure. */

export const FORMATS = ['png', 'jpeg', 'webp', 'psd', 'ora', 'pptx', 'zip'] as const
export type Format = typeof FORMATS[number]

export interface ExportChoice {
  format: Format
  selected: boolean // only the layers that are chosen
  scale: number
  trim: boolean
  quality: number // 1 to 100
  lossless: boolean // of WebP
  background: string // of JPEG, which has no transparency
  metadata: boolean // the file says where its pixels came from, and their recipe where there is one
}

export const USUAL: ExportChoice = { format: 'png', selected: false, scale: 1, trim: false, quality: 90, lossless: true, background: '#ffffff', metadata: true }

export const isFlat = (f: Format): boolean => f === 'png' || f === 'jpeg' || f === 'webp'
export const hasQuality = (c: ExportChoice): boolean => c.format === 'jpeg' || (c.format === 'webp' && !c.lossless)

export const SCALE_MIN = 0.01
export const SCALE_MAX = 16

export type ExportQuery = Record<string, string | number | boolean | undefined>

/* What is as the server has it by itself is not sent. */
export function exportQuery (c: ExportChoice, selection: string[]): ExportQuery {
  const flat = isFlat(c.format)
  return {
    format: c.format,
    layers: c.selected && selection.length > 0 ? selection.join(',') : undefined,
    scale: flat && c.scale !== 1 ? Number(c.scale.toFixed(4)) : undefined,
    trim: (flat && c.trim) || undefined,
    quality: hasQuality(c) ? c.quality : undefined,
    background: c.format === 'jpeg' && c.background !== '#ffffff' ? c.background : undefined,
    no_metadata: !c.metadata || undefined
  }
}

/* Small enough to be looked at in the dialog; of a flat file that is small itself, the file that will be written. */
export const PREVIEW_SIDE = 480
const WHOLE_PIXELS = 3e6

export function previewQuery (c: ExportChoice, selection: string[], canvas: { width: number, height: number }): ExportQuery {
  if (isFlat(c.format) && canvas.width * canvas.height * c.scale * c.scale <= WHOLE_PIXELS) return exportQuery(c, selection)
  const fit = Math.min(1, PREVIEW_SIDE / Math.max(canvas.width, canvas.height))
  return exportQuery({ ...c, format: isFlat(c.format) ? c.format : 'png', scale: Math.max(SCALE_MIN, fit), trim: isFlat(c.format) && c.trim }, selection)
}

/* Pixels of the file, from those of its preview where the edges are cut away. */
export function exportSize (c: ExportChoice, canvas: { width: number, height: number }, preview: { width: number, height: number, scale: number } | null): { width: number, height: number } | null {
  const scale = isFlat(c.format) ? c.scale : 1
  const pixels = (v: number, k: number): number => Math.max(1, Math.round(v * k))
  if (!isFlat(c.format) || !c.trim) return { width: pixels(canvas.width, scale), height: pixels(canvas.height, scale) }
  return preview && { width: pixels(preview.width, scale / preview.scale), height: pixels(preview.height, scale / preview.scale) }
}
