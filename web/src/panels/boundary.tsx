/* boundary.tsx - a part that fails is replaced by words and two buttons; the rest goes on. */
import { RotateCcw, TriangleAlert } from 'lucide'
import { Component, type ComponentChildren } from 'preact'
import { text } from '../text.ts'
import { Button } from '../ui/button.tsx'
import { Icon } from '../ui/icon.tsx'

const t = text.broken

export class Boundary extends Component<{ children: ComponentChildren }, { failed: Error | null }> {
  override state: { failed: Error | null } = { failed: null }

  override componentDidCatch (e: Error): void {
    console.error(e)
    this.setState({ failed: e })
  }

  override render () {
    const { failed } = this.state
    if (!failed) return this.props.children
    return (
      <div class='empty' role='alert'>
        <Icon of={TriangleAlert} size={24} />
        <p>{t.says}</p>
        <p class='secondary'>{failed.message}</p>
        <div class='row'>
          <Button icon={RotateCcw} onClick={() => { this.setState({ failed: null }) }}>{t.again}</Button>
          <Button onClick={() => { location.reload() }}>{t.reload}</Button>
        </div>
      </div>
    )
  }
}
