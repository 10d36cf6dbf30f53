/* toasts.tsx - short words on what happened, with what can be done about it. */
import { X } from 'lucide'
import { dismiss } from '../state/actions/toasts.ts'
import { toasts } from '../state/store.ts'
import { text } from '../text.ts'
import { Button, IconButton } from '../ui/button.tsx'

export function Toasts () {
  return (
    <div class='toasts' role='status' aria-live='polite'>
      {toasts.value.map((t) => (
        <div key={t.id} class={`toast ${t.kind}`}>
          <span>{t.text}</span>
          {t.action && <Button kind='quiet' onClick={() => { dismiss(t.id); t.action?.run() }}>{t.action.label}</Button>}
          <IconButton label={text.close} icon={X} class='small' onClick={() => { dismiss(t.id) }} />
        </div>
      ))}
    </div>
  )
}
