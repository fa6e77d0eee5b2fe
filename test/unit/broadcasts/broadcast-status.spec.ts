import { describe, expect, it } from 'vitest';
import {
  BROADCAST_STATES,
  isRepeated,
  nextState,
  type BroadcastAction,
  type BroadcastState,
} from '../../../src/broadcasts/broadcast-status.js';

const NOW = new Date('2026-03-02T09:00:00Z');
const ACTIONS: BroadcastAction[] = [
  'start',
  'begin',
  'planned',
  'pause',
  'resume',
  'cancel',
  'complete',
  'reopen',
];

/** Null: the action does not fit the state. */
const TABLE: Record<BroadcastState, (BroadcastState | null)[]> = {
  //          start        begin       planned    pause     resume     cancel       complete  reopen
  draft: /*     */ ['scheduled', null, null, null, null, 'cancelled', null, null],
  scheduled: /* */ [null, 'planning', null, 'paused', null, 'cancelled', null, null],
  planning: /*  */ [null, null, 'running', 'paused', null, 'cancelled', null, null],
  running: /*   */ [null, null, null, 'paused', null, 'cancelled', 'done', null],
  paused: /*    */ [null, null, null, null, 'scheduled', 'cancelled', null, null],
  done: /*      */ [null, null, null, null, null, null, null, 'running'],
  cancelled: /* */ [null, null, null, null, null, null, null, null],
};

describe('the states of a broadcast', () => {
  it.each(BROADCAST_STATES)('%s allows what the table says and nothing else', (state) => {
    const progress = { state, startedAt: null, plannedAt: null };
    expect(ACTIONS.map((action) => nextState(progress, action))).toEqual(TABLE[state]);
  });

  it('goes on after a pause where the pause came', () => {
    expect(nextState({ state: 'paused', startedAt: NOW, plannedAt: null }, 'resume')).toBe('planning');
    expect(nextState({ state: 'paused', startedAt: NOW, plannedAt: NOW }, 'resume')).toBe('running');
  });

  it.each([
    ['start', ['scheduled', 'planning', 'running', 'done']],
    ['pause', ['paused']],
    ['resume', ['scheduled', 'planning', 'running']],
    ['cancel', ['cancelled']],
    ['begin', []],
  ] as const)('%s a second time is no mistake in %j', (action, states) => {
    expect(BROADCAST_STATES.filter((state) => isRepeated({ state }, action))).toEqual(states);
  });
});
