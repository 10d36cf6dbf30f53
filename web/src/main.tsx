import { render } from 'preact'
import './styles/theme.css'
import './styles/ui.css'
import './styles/app.css'
import { App } from './app.tsx'
import { begin } from './state/session.ts'

const root = document.getElementById('app')
if (root) {
  begin()
  render(<App />, root)
}
