/* label.tsx - a few words on a dark ground over the canvas. */
const PER_LETTER = 6.4
const HEIGHT = 20

/* At the middle of (x, y), or beginning there. */
export function Label ({ x, y, text, start, class: cls = '' }: { x: number, y: number, text: string, start?: boolean, class?: string }) {
  const w = text.length * PER_LETTER + 14
  const left = start ? x : x - w / 2
  return (
    <g class={`label ${cls}`}>
      <rect x={left} y={y - HEIGHT / 2} width={w} height={HEIGHT} rx={4} />
      <text x={left + w / 2} y={y + 4} text-anchor='middle'>{text}</text>
    </g>
  )
}
