import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { TemplateTexts } from '../../infra/templates/template-texts.service.js';
import type { KeptTexts } from '../../values/template-texts.js';
import type { WantedFunnel } from './funnel-changes.service.js';
import type { TemplateHashes } from './funnel-diff.js';
import { DeliveredFiles, type FilesFrom, type FoundFiles } from '../files/delivered-files.service.js';
import { FunnelPublisher, type FunnelParts } from '../publish/funnel-publisher.service.js';
import { FunnelStore, type FunnelVersion, type StoredFunnel } from '../funnel-store.service.js';
import { collectTemplates, mailNames, pagesOf, type FunnelTemplates } from '../templates/funnel-templates.js';
import type { FunnelDefinition } from '../schemas/funnel.schemas.js';
import { mailHashesOfBefore } from '../templates/mail-hashes-of-before.files.js';

/** Funnels as they shall be: as a file says, or as a version was. */
@Injectable()
export class WantedFunnels {
  constructor(
    private readonly publisher: FunnelPublisher,
    private readonly store: FunnelStore,
    private readonly texts: TemplateTexts,
    private readonly files: DeliveredFiles,
  ) {}

  /** `templates`: as they were read when the definition was looked through. `from`: where its files are. */
  ofFile(written: FunnelDefinition, templates: FunnelTemplates, from: FilesFrom): WantedFunnel {
    const { templates: _, ...definition } = written;
    let found: FoundFiles = { hashes: {}, ids: {} };
    return {
      definition,
      stateOver: async (manager, stored, { isApplied: isKept }) => {
        found = await this.files.find(manager, definition, { ...from, stored, isKept });
        const mails =
          stored !== null && stored.state.templates === undefined
            ? await mailHashesOfBefore(definition, templates.texts)
            : {};
        return { definition, sources: { ...found.hashes, ...mails }, templates: templates.hashes };
      },
      parts: async (manager) => this.publisher.parts(manager, definition, { templates, files: found.ids }),
      mails: async (manager) => this.publisher.publishMails(manager, definition, templates),
      restored: null,
    };
  }

  /** With its mails, pages and files, whatever stands on the disk now. */
  ofVersion(
    definition: FunnelDefinition,
    { version, state, parts }: FunnelVersion & { parts: FunnelParts },
  ): WantedFunnel {
    const present = async (
      manager: EntityManager,
      stored: StoredFunnel | null,
    ): Promise<FunnelVersion | null> => stored && this.store.version(manager, stored, stored.version);
    const isWhole = parts.texts !== undefined && state.templates !== undefined;
    return {
      definition,
      stateOver: async (manager, stored) => {
        const now = await present(manager, stored);
        const hashes = now?.state.templates;
        if (isWhole || hashes === undefined) return { ...state, definition };
        const templates = hashesBefore(definition, { now: hashes, same: sameMails(parts, now), version });
        return { definition, sources: state.sources, templates };
      },
      parts: async (manager, stored) => {
        const now = await present(manager, stored);
        if (isWhole || now?.parts?.texts === undefined) return parts;
        return { ...parts, texts: await this.textsBefore(manager, definition, { parts, now: now.parts }) };
      },
      mails: async () => Promise.resolve(parts.mails),
      restored: version,
    };
  }

  /**
   * Of a version of before texts were kept: its mails have their own, and what they include is that of now. Of now are only
   * those that it is made of: an export of others would be refused.
   */
  private async textsBefore(
    manager: EntityManager,
    definition: FunnelDefinition,
    { parts: { mails }, now }: { parts: FunnelParts; now: FunnelParts },
  ): Promise<KeptTexts> {
    const ids = Object.entries(mails).filter(([name, id]) => !name.includes(' ') && now.mails[name] !== id);
    const rows: { name: string; text: string }[] = await manager.query(
      `select m.name, t.mjml_source as text from unnest($1::text[], $2::bigint[]) as m (name, id)
       join email_template t on t.id = m.id`,
      [ids.map(([name]) => name), ids.map(([, id]) => id)],
    );
    const own = Object.fromEntries(rows.map(({ name, text }) => [`${name}.mjml`, text]));
    const kept = { ...now.texts, ...(await this.texts.keep(manager, own)) };
    const all = await this.texts.read(kept, manager);
    const { texts } = await collectTemplates(definition, async (path) => Promise.resolve(all[path] ?? null));
    return Object.fromEntries(Object.entries(kept).filter(([path]) => path in texts));
  }
}

function sameMails(then: FunnelParts, now: FunnelVersion | null): (name: string) => boolean {
  return (name) => then.mails[name] !== undefined && then.mails[name] === now?.parts?.mails[name];
}

/** Pages as they are now; of mails that are not as they are now, no hash is known. */
function hashesBefore(
  definition: FunnelDefinition,
  { now, same, version }: { now: TemplateHashes; same: (name: string) => boolean; version: number },
): TemplateHashes {
  const mails = mailNames(definition).map((name) => {
    const made = same(name) ? now[name] : undefined;
    return [name, made ?? { [`${name}.mjml`]: `as in version ${version}` }] as const;
  });
  const pages = pagesOf(definition).map(({ name }) => [name, now[name] ?? {}] as const);
  return Object.fromEntries([...mails, ...pages]);
}
