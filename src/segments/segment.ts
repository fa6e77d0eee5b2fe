import type { Condition } from './condition.js';

/** A named set of subscribers, worked out anew whenever it is asked for. */
export interface Segment {
  id: string;
  key: string;
  title: string;
  conditions: Condition;
  createdAt: Date;
  updatedAt: Date;
}

export type SegmentDraft = Pick<Segment, 'key' | 'title' | 'conditions'>;
