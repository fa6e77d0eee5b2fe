import { expect, it } from 'vitest';
import { undoAll } from '../../../src/infra/undo.js';

it('a step that fails at the end keeps none of the others running', async () => {
  const done: string[] = [];
  const step = (name: string) => async (): Promise<void> => void done.push(name);
  const fails = async (): Promise<void> => {
    done.push('fails');
    throw new Error('the server could not be closed');
  };
  await expect(undoAll([step('database'), fails, step('jobs')])).rejects.toThrow('could not be closed');
  expect(done).toEqual(['jobs', 'fails', 'database']);
});
