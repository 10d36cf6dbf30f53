/* drag.ts - images that are dragged from one place of the window to another; the canvas takes them too. */
export * from '../state/drag.ts'
