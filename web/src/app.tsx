/* app.tsx - which page is shown, and what lies over every page. */
import { useEffect } from 'preact/hooks'
import { Overlays } from './panels/overlays.tsx'
import { Editor } from './panels/editor.tsx'
import { Home } from './panels/home/home.tsx'
import { followKeys } from './state/commands.ts'
import { route } from './state/store.ts'

export function App () {
  useEffect(followKeys, [])
  return (
    <>
      {route.value.page === 'home' ? <Home /> : <Editor />}
      <Overlays />
    </>
  )
}
