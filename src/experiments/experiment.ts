import type { Verdict } from './decide.js';
import type { ExperimentTerms } from './experiment-terms.js';

export interface Experiment {
  id: string;
  /** Its place and what is compared: another comparison at the same place is another experiment. */
  key: string;
  funnelKey: string;
  stepKey: string;
  terms: ExperimentTerms;
  startedAt: Date;
  endsAt: Date;
  verdict: Exclude<Verdict, { kind: 'running' }> | null;
  decidedAt: Date | null;
}
