import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import type { Sender } from '../delivery/message.js';
import type { RunningVersion } from './advance-batch.js';
import type { SequenceDefinition } from './definition.js';
import { prepareSequence, type PreparedSequence } from './prepared.js';

/** The versions people are in, made ready to run. A version never changes, its funnel's sender may. */
@Injectable()
export class VersionsService {
  readonly #prepared = new Map<string, PreparedSequence>();

  async running(
    manager: EntityManager,
    people: readonly { versionId: string }[],
  ): Promise<Map<string, RunningVersion>> {
    const ids = [...new Set(people.map(({ versionId }) => versionId))];
    const rows: { id: string; definition: SequenceDefinition; funnelKey: string; sender: Sender }[] =
      await manager.query(
        `select v.id, v.definition, q.funnel_key as "funnelKey", q.sender
         from sequence_version v join sequence q on q.id = v.sequence_id where v.id = any($1::bigint[])`,
        [ids],
      );
    return new Map(
      rows.map(({ id, definition, funnelKey, sender }) => [
        id,
        { sequence: this.prepare(id, definition), funnelKey, sender },
      ]),
    );
  }

  prepare(versionId: string, definition: SequenceDefinition): PreparedSequence {
    const known = this.#prepared.get(versionId);
    if (known) return known;
    const prepared = prepareSequence(definition);
    this.#prepared.set(versionId, prepared);
    return prepared;
  }
}
