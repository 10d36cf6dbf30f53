/* app.tsx - which page is shown, and what lies over every page. */
import { useEffect } from 'preact/hooks'
import { Boundary } from './panels/boundary.tsx'
import { Locked } from './panels/connection.tsx'
import { Overlays } from './panels/overlays.tsx'
import { Editor } from './panels/editor.tsx'
import { Home } from './panels/home/home.tsx'
import { followKeys } from './state/commands.ts'
import { denied, project, route } from './state/store.ts'
import { text } from './text.ts'

export function App () {
  useEffect(followKeys, [])
  const name = project.value?.name
  useEffect(() => { document.title = name ? `${name} - ${text.product}` : text.product }, [name])
  if (denied.value) return <Locked />
  return (
    <>
      <Boundary>{route.value.page === 'home' ? <Home /> : <Editor />}</Boundary>
      <Overlays />
    </>
  )
}
