/* masks.ts - the project's selection as a mask of the image that is sent: cut and scaled to it, through the layer's transform. */
import { assets } from '../../api/client.ts'
import type { Layer } from '../../api/types.ts'
import { invert, matrixOf, scaling } from '../matrix.ts'
import type { Size } from '../requests.ts'

const PAINTED = 128

const bitmapOf = async (id: string): Promise<ImageBitmap> => await createImageBitmap(await assets.file(id))

/* On black: what lies outside the canvas is kept. */
function blank (size: Size): CanvasRenderingContext2D {
  const canvas = document.createElement('canvas')
  canvas.width = size.width
  canvas.height = size.height
  const g = canvas.getContext('2d', { willReadFrequently: true })
  if (!g) throw new Error('no canvas 2D')
  g.fillRect(0, 0, size.width, size.height)
  return g
}

/* Where the layer has a mask of its own, only what both show is changed. */
async function multiply (g: CanvasRenderingContext2D, mask: string, size: Size): Promise<void> {
  g.resetTransform()
  g.globalCompositeOperation = 'multiply'
  g.drawImage(await bitmapOf(mask), 0, 0, size.width, size.height)
}

function anyPainted (g: CanvasRenderingContext2D, size: Size): boolean {
  const { data } = g.getImageData(0, 0, size.width, size.height)
  for (let i = 0; i < data.length; i += 4) if ((data[i] ?? 0) >= PAINTED) return true
  return false
}

const png = async (canvas: HTMLCanvasElement): Promise<Blob> => await new Promise((resolve, reject) => {
  canvas.toBlob((b) => { b ? resolve(b) : reject(new Error('no PNG')) }, 'image/png')
})

/* The mask as an asset, or null where it leaves nothing of the image to change. */
export async function maskFor (selection: string, canvas: Size, image: Size, layer: Layer | null): Promise<string | null> {
  const g = blank(image)
  const map = layer ? invert(matrixOf(layer)) : scaling(image.width / canvas.width, image.height / canvas.height)
  if (!map) return null
  g.setTransform(map)
  const bitmap = await bitmapOf(selection)
  g.imageSmoothingEnabled = layer !== null || bitmap.width !== image.width || bitmap.height !== image.height
  g.drawImage(bitmap, 0, 0, canvas.width, canvas.height)
  if (layer?.mask) await multiply(g, layer.mask, image)
  if (!anyPainted(g, image)) return null
  return (await assets.upload(await png(g.canvas), 'mask.png')).id
}
