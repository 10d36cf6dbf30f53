/* cut.tsx - a long name, cut in the middle to the room that there is: its end stays, its beginning gives way. */
const END = 8

export function Cut ({ name }: { name: string }) {
  const letters = [...name]
  const at = letters.length > 2 * END ? letters.length - END : letters.length
  return (
    <span class='cut'>
      <span class='cut-begin'>{letters.slice(0, at).join('')}</span>
      {at < letters.length && <span class='cut-end'>{letters.slice(at).join('')}</span>}
    </span>
  )
}
