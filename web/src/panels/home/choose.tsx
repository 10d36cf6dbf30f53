/* choose.tsx - a button that asks for files, and opens each as a project. */
import { useRef } from 'preact/hooks'
import { openFiles } from '../../state/actions/files.ts'
import { text } from '../../text.ts'
import { Button } from '../../ui/button.tsx'

export function ChooseFiles ({ kind, onChosen }: { kind: 'plain' | 'primary', onChosen?: () => void }) {
  const input = useRef<HTMLInputElement>(null)
  return (
    <>
      <input ref={input} type='file' hidden multiple accept='image/*,.psd,.ora,.zip'
        onChange={(ev) => {
          const files = [...ev.currentTarget.files ?? []]
          onChosen?.()
          void openFiles(files)
        }} />
      <Button kind={kind} onClick={() => { input.current?.click() }}>{text.creating.choose}</Button>
    </>
  )
}
