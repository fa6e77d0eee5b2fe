import { createHash } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import type { KeptTexts, Texts } from '../../values/template-texts.js';
import { CLOCK, type Clock } from '../clock.js';

/** The texts of templates as they were. The only writer of `template_text`. */
@Injectable()
export class TemplateTexts {
  constructor(
    private readonly dataSource: DataSource,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Stores what is not there yet. */
  async keep(manager: EntityManager, texts: Texts): Promise<KeptTexts> {
    const paths = Object.keys(texts);
    const hashes = paths.map((path) =>
      createHash('sha256')
        .update(texts[path] ?? '')
        .digest(),
    );
    await manager.query(
      `insert into template_text (sha256, body, created_at)
       select distinct on (t.sha256) t.sha256, t.body, $3::timestamptz from unnest($1::bytea[], $2::text[]) as t (sha256, body)
       order by t.sha256 on conflict (sha256) do nothing`,
      [hashes, Object.values(texts), this.clock.now()],
    );
    const rows: { path: string; id: string }[] = await manager.query(
      `select p.path, t.id from unnest($1::bytea[], $2::text[]) as p (sha256, path) join template_text t on t.sha256 = p.sha256`,
      [hashes, paths],
    );
    return Object.fromEntries(rows.map(({ path, id }) => [path, id]));
  }

  async read(kept: KeptTexts, manager: EntityManager = this.dataSource.manager): Promise<Texts> {
    const rows: { path: string; body: string }[] = await manager.query(
      `select p.path, t.body from unnest($1::text[], $2::bigint[]) as p (path, id) join template_text t on t.id = p.id
       order by p.path collate "C"`,
      [Object.keys(kept), Object.values(kept)],
    );
    return Object.fromEntries(rows.map(({ path, body }) => [path, body]));
  }
}
