/* preview.tsx - what the file will show, its pixels and, where it is made already, its bytes. */
import { useEffect, useState } from 'preact/hooks'
import { Failure } from '../../api/client.ts'
import { chosenLayers, fetchExport } from '../../state/actions/exporting.ts'
import { exportQuery, exportSize, isFlat, previewQuery, type ExportChoice } from '../../state/exporting.ts'
import { project, selectedIds } from '../../state/store.ts'
import { text } from '../../text.ts'
import { bytes } from '../../ui/format.ts'

const t = text.exporting
const WAIT_MS = 250

interface Seen { url: string, bytes: number, key: string, scale: number, whole: boolean }

/* The preview of a choice, a moment after the last change of it. */
function usePreview (c: ExportChoice): { seen: Seen | null, failed: string | null, key: string } {
  const p = project.value
  const [seen, setSeen] = useState<Seen | null>(null)
  const [failed, setFailed] = useState<string | null>(null)
  const query = previewQuery(c, chosenLayers(), p ?? { width: 1, height: 1 })
  const key = JSON.stringify([query, p?.revision])
  useEffect(() => {
    const stop = new AbortController()
    const timer = window.setTimeout(() => {
      fetchExport(query, { signal: stop.signal }).then((f) => {
        setFailed(null)
        const whole = isFlat(c.format) && JSON.stringify(query) === JSON.stringify(exportQuery(c, chosenLayers()))
        setSeen({ url: URL.createObjectURL(f.blob), bytes: f.blob.size, key, scale: Number(query['scale'] ?? 1), whole })
      }, (e: unknown) => {
        if (!stop.signal.aborted) setFailed(e instanceof Failure ? e.problem.detail : text.failed)
      })
    }, WAIT_MS)
    return () => {
      window.clearTimeout(timer)
      stop.abort()
    }
  }, [key])
  useEffect(() => () => { if (seen) URL.revokeObjectURL(seen.url) }, [seen])
  return { seen, failed, key }
}

export function Preview ({ c }: { c: ExportChoice }) {
  const [pixels, setPixels] = useState<{ width: number, height: number } | null>(null)
  const { seen, failed, key } = usePreview(c)
  const p = project.value
  if (!p) return null
  const fresh = seen?.key === key
  const size = exportSize(c, p, fresh && pixels ? { ...pixels, scale: seen.scale } : null)
  const empty = p.layers.length === 0 || (c.selected && selectedIds.value.length === 0)
  return (
    <figure class='export-preview'>
      <div class={`export-stage ${fresh ? '' : 'old'}`}>
        {seen && !failed && (
          <img class={`checker ${pixels && Math.max(pixels.width, pixels.height) < 200 ? 'small' : ''}`} src={seen.url} alt={t.preview}
            onLoad={(ev) => { setPixels({ width: ev.currentTarget.naturalWidth, height: ev.currentTarget.naturalHeight }) }} />
        )}
        {failed !== null && <p class='secondary'>{failed}</p>}
        {!seen && failed === null && <p class='secondary'>{empty ? t.empty : t.making}</p>}
      </div>
      <figcaption>
        <span>{size ? `${size.width} × ${size.height}` : t.unknownSize}</span>
        <span class='secondary'>{fresh && seen.whole ? bytes(seen.bytes) : ''}</span>
      </figcaption>
    </figure>
  )
}
