/** Takes down one thing that was started. */
export type Undo = () => Promise<unknown>;

/** The last first. One that fails keeps none of the others running; then the first failure is thrown. */
export async function undoAll(steps: readonly Undo[]): Promise<void> {
  const failures: unknown[] = [];
  for (const step of steps.toReversed()) {
    try {
      await step();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}
