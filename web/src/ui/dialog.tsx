/* dialog.tsx - a modal dialog on the browser's own <dialog>: focus stays in it, Escape closes it. */
import { X } from 'lucide'
import type { ComponentChildren } from 'preact'
import { useId, useLayoutEffect, useRef } from 'preact/hooks'
import { IconButton } from './button.tsx'

/* On what one came for; the browser would take the button that closes. */
function focusFirst (dialog: HTMLElement): void {
  const first = (selector: string) => dialog.querySelector<HTMLElement>(`.dialog-content ${selector}`)
  const to = first('[autofocus]') ?? first(':is(input:checked, input:not([type=radio]), textarea, select, [tabindex="0"])')
  to?.focus({ preventScroll: true })
}

export function Dialog ({ title, onClose, children, actions, class: cls = '', closeLabel, bare }: {
  title: string
  closeLabel: string
  onClose: () => void
  children: ComponentChildren
  actions?: ComponentChildren
  bare?: boolean // the title is said, not shown
  class?: string
}) {
  const ref = useRef<HTMLDialogElement>(null)
  const id = useId()
  useLayoutEffect(() => {
    const dialog = ref.current
    dialog?.showModal()
    if (dialog) focusFirst(dialog)
    return () => { dialog?.close() } // still in the page, it gives the focus back
  }, [])
  return (
    <dialog ref={ref} class={`dialog ${cls}`} aria-labelledby={id}
      onCancel={(ev) => { ev.preventDefault(); onClose() }}
      onPointerDown={(ev) => { if (ev.target === ref.current) onClose() }}>
      <div class='dialog-body'>
        {bare
          ? <h2 id={id} class='visually-hidden'>{title}</h2>
          : (
            <header>
              <h2 id={id}>{title}</h2>
              <IconButton label={closeLabel} icon={X} onClick={onClose} />
            </header>
            )}
        <div class='dialog-content'>{children}</div>
        {actions && <footer>{actions}</footer>}
      </div>
    </dialog>
  )
}
