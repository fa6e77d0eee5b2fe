import type { Scenario } from './scenario.js';
import { backupScenarios } from './scenarios/backups.js';
import { broadcastScenarios } from './scenarios/broadcasts.js';
import { databaseScenarios } from './scenarios/database.js';
import { diskScenarios } from './scenarios/disk.js';
import { editScenarios } from './scenarios/edits.js';
import { failoverScenarios } from './scenarios/failover.js';
import { guardScenarios } from './scenarios/guards.js';
import { importScenarios } from './scenarios/imports.js';
import { killScenarios } from './scenarios/kills.js';
import { logicScenarios } from './scenarios/logic.js';
import { outageScenarios } from './scenarios/outages.js';
import { parkedScenarios } from './scenarios/parked.js';
import { pausedBackupScenarios } from './scenarios/paused-backups.js';
import { pauseScenarios } from './scenarios/pauses.js';
import { planningScenarios } from './scenarios/planning.js';
import { relayScenarios } from './scenarios/relay.js';
import { reportScenarios } from './scenarios/reports.js';
import { resendScenarios } from './scenarios/resends.js';
import { signupScenarios } from './scenarios/signups.js';
import { splitScenarios } from './scenarios/splits.js';
import { timeScenarios } from './scenarios/times.js';
import { workerScenarios } from './scenarios/workers.js';

/** All of them, or some of each kind: a few minutes on two cores. */
export function scenarios(short: boolean): Scenario[] {
  return [
    ...killScenarios(short),
    ...pauseScenarios,
    ...databaseScenarios,
    ...backupScenarios,
    ...pausedBackupScenarios,
    ...outageScenarios,
    ...diskScenarios,
    ...relayScenarios,
    ...parkedScenarios,
    ...failoverScenarios,
    ...workerScenarios,
    ...logicScenarios,
    ...broadcastScenarios,
    ...editScenarios,
    ...guardScenarios,
    ...planningScenarios,
    ...splitScenarios,
    ...resendScenarios,
    ...timeScenarios,
    ...importScenarios,
    ...reportScenarios,
    ...signupScenarios,
  ].filter((scenario) => scenario.short || !short);
}
