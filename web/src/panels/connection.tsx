/* connection.tsx - a server that is not heard, and one that wants its token. */
import { KeyRound, RefreshCw } from 'lucide'
import { useEffect, useState } from 'preact/hooks'
import { connected } from '../state/store.ts'
import { text } from '../text.ts'
import { Icon } from '../ui/icon.tsx'
import './connection.css'

const t = text.connection
const CALM_MS = 1500 // a reload or a short break says nothing

export function ConnectionBanner () {
  const [late, setLate] = useState(false)
  const lost = !connected.value
  useEffect(() => {
    if (!lost) return setLate(false)
    const timer = window.setTimeout(() => { setLate(true) }, CALM_MS)
    return () => { window.clearTimeout(timer) }
  }, [lost])
  return (
    <div class='connection' role='status' aria-live='polite'>
      {lost && late && <p><Icon of={RefreshCw} /><span><strong>{t.lost}</strong> {t.waits}</span></p>}
    </div>
  )
}

/* The token goes into the address once; the server makes a cookie of it. */
export function Locked () {
  const [token, setToken] = useState('')
  return (
    <main class='locked'>
      <form class='locked-card' onSubmit={(ev) => {
        ev.preventDefault()
        if (token.trim()) location.href = `/?token=${encodeURIComponent(token.trim())}`
      }}>
        <h1><Icon of={KeyRound} size={20} />{t.locked}</h1>
        <p>{t.lockedHow}</p>
        <code>{`${location.origin}/?token=...`}</code>
        <div class='row'>
          <input class='grow' type='password' aria-label={t.token} placeholder={t.token} autocomplete='off' value={token} onInput={(ev) => { setToken(ev.currentTarget.value) }} />
          <button type='submit' class='button primary' disabled={!token.trim()}>{t.open}</button>
        </div>
        <p class='secondary'>{t.lockedWhere}</p>
      </form>
    </main>
  )
}
