import { Inject, Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { TemplatesService } from '../delivery/templates.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { FilesService } from '../infra/files/files.service.js';
import { SequencesService } from '../sequences/sequences.service.js';
import { FormsService } from '../signup/forms.service.js';
import { CONFIRM_MAIL, filesOf, insideOf, RECEIPT_MAIL } from './funnel-sources.service.js';
import { fieldDefinitions } from '../subscribers/subscribers.queries.js';
import type { FunnelDefinition } from './funnel.schemas.js';
import { among, type DefinitionProblem } from './lint/rules.js';
import { offerSnapshot } from './offer-snapshot.js';
import { stepMails } from './step.schemas.js';
import { sequenceDefinition } from './sequence-definition.js';
import { lostSequences, sequencesNamed } from './sequences-named.js';
import { setProblems } from './set-problems.js';
import { ShopPublisher } from './shop-publisher.service.js';

type Ids = Readonly<Record<string, string>>;

/** What a funnel is made of: ids of the mails and of the stored files, by the names the funnel gives them. */
export interface FunnelParts {
  mails: Ids;
  files: Ids;
}

/** Where the files of a funnel come from that it names. */
export interface FilesFrom {
  /** Of the funnel file; null when it came without one. */
  folder: string | null;
  /** Those of the funnel as it is: it keeps them when it comes without its folder, whatever else has such a name. */
  present: Ids;
}

/** Hands each part of a funnel to the module that owns it, inside the caller's transaction. */
@Injectable()
export class FunnelPublisher {
  constructor(
    private readonly files: FilesService,
    private readonly templates: TemplatesService,
    private readonly shop: ShopPublisher,
    private readonly sequences: SequencesService,
    private readonly forms: FormsService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Stores the mails and files that the funnel names, as they are now. */
  async parts(manager: EntityManager, definition: FunnelDefinition, from: FilesFrom): Promise<FunnelParts> {
    const files = await this.storeFiles(manager, definition, from);
    return { files, mails: await this.publishMails(manager, definition) };
  }

  /** Makes the objects say what the definition says; returns the id of the sequence. */
  async publish(
    manager: EntityManager,
    definition: FunnelDefinition,
    { mails, files }: FunnelParts,
  ): Promise<string> {
    const fileId = (name: string): string => idOf(files, name);
    await this.shop.publish(manager, definition, { fileId, receiptTemplateId: idOf(mails, RECEIPT_MAIL) });
    const sequenceId = await this.publishSequence(manager, definition, mails);
    await this.publishForm(manager, definition, files, mails);
    await this.archiveRest(manager, definition);
    return sequenceId;
  }

  /**
   * Addresses are shared by all funnels: a slug or key that another funnel uses cannot be taken; one it has dropped can.
   * `along`: keys of funnels that are published with this one.
   */
  async conflicts(
    manager: EntityManager,
    definition: FunnelDefinition,
    along: readonly string[],
  ): Promise<DefinitionProblem[]> {
    const { funnel, form, products, offers } = definition;
    const taken: { kind: string; key: string; funnel: string }[] = await manager.query(
      `select 'form' as kind, slug as key, funnel_key as funnel from form where slug = $2 and funnel_key <> $1 and archived_at is null
       union all select 'product', key, funnel_key from product where key = any($3) and funnel_key <> $1 and archived_at is null
       union all select 'offer', slug, funnel_key from offer where slug = any($4) and funnel_key <> $1 and archived_at is null`,
      [funnel, form.slug, products.map(({ key }) => key), offers.map(({ key }) => key)],
    );
    const problems = taken.map(({ kind, key, funnel: other }): DefinitionProblem => ({
      rule: 'name-taken',
      path:
        kind === 'form'
          ? ['form', 'slug']
          : [`${kind}s`, (kind === 'product' ? products : offers).findIndex((o) => o.key === key), 'key'],
      message: `the ${kind} "${key}" belongs to the funnel "${other}"`,
    }));
    const sets = setProblems(definition, await fieldDefinitions(manager));
    const over = await this.takenOver(manager, definition);
    return [...problems, ...over, ...sets, ...(await this.lost(manager, definition, along))];
  }

  /** Products that another funnel has dropped, and that somebody has: under its key it stays the same product for them. */
  private async takenOver(
    manager: EntityManager,
    { funnel, products }: FunnelDefinition,
  ): Promise<DefinitionProblem[]> {
    const rows: { key: string; other: string; buyers: number; members: number }[] = await manager.query(
      `select key, other, buyers, members from (
         select p.key, p.funnel_key as other,
           (select count(distinct o.subscriber_id) from order_line l join orders o on o.id = l.order_id
             where l.product_id = p.id and l.taken_back_at is null and o.status = 'paid')::int as buyers,
           (select count(*) from membership m where m.product_id = p.id and m.state = 'active'
              and (m.ends_at is null or m.ends_at > $3))::int as members
         from product p where p.key = any ($2) and p.funnel_key <> $1 and p.archived_at is not null) had
       where buyers > 0 or members > 0`,
      [funnel, products.map(({ key }) => key), this.clock.now()],
    );
    return rows.map(({ key, other, buyers, members }) => ({
      rule: 'product-taken-over',
      path: ['products', products.findIndex((product) => product.key === key), 'key'],
      message: `the product "${key}" was sold by the funnel "${other}": its buyers (${buyers}) count as buyers of this one, and who buys it prolongs the membership by it that they have (${members} run); choose another key if it is another product`,
    }));
  }

  /** Sequences that are named and not there. */
  private async lost(
    manager: EntityManager,
    definition: FunnelDefinition,
    along: readonly string[],
  ): Promise<DefinitionProblem[]> {
    if (sequencesNamed(definition).length === 0) return [];
    const others: { key: string }[] = await manager.query(
      'select key from sequence where key <> $1 order by key',
      [definition.funnel],
    );
    const keys = [...new Set([...others.map(({ key }) => key), ...along])];
    return lostSequences(definition, keys, ({ key, path, isListenedTo }) => ({
      ...{ rule: isListenedTo ? 'sequence-elsewhere' : 'unknown-sequence', path },
      message: `there is no sequence "${key}"${isListenedTo ? ' yet' : ''}${among(keys)}`,
    }));
  }

  private async storeFiles(
    manager: EntityManager,
    definition: FunnelDefinition,
    { folder, present }: FilesFrom,
  ): Promise<Ids> {
    const ids: Record<string, string> = {};
    for (const { name } of filesOf(definition)) {
      const fileName = name.split('/').at(-1) ?? name;
      ids[name] =
        folder === null
          ? (present[name] ?? (await this.files.idByName(manager, fileName)))
          : await this.files.store(manager, { absolutePath: insideOf(folder, name), fileName });
    }
    return ids;
  }

  async publishMails(manager: EntityManager, definition: FunnelDefinition): Promise<Ids> {
    const mails = stepMails(definition.sequence.steps);
    const ids: Record<string, string> = {};
    for (const key of new Set([CONFIRM_MAIL, RECEIPT_MAIL, ...mails.map(({ step }) => step.email)]))
      ids[key] = await this.templates.publish(manager, key);
    for (const { step, subject } of mails) {
      if (subject === undefined) continue;
      ids[mailName(step.email, subject)] = await this.templates.publish(manager, step.email, subject);
    }
    return ids;
  }

  async publishSequence(
    manager: EntityManager,
    definition: FunnelDefinition,
    templateIds: Ids,
  ): Promise<string> {
    const { funnel, title, sender } = definition;
    return this.sequences.publish(manager, {
      key: funnel,
      funnelKey: funnel,
      title,
      sender,
      definition: sequenceDefinition(definition, {
        templateId: (key, subject) => idOf(templateIds, mailName(key, subject)),
        offer: (key) => offerSnapshot(definition, key),
      }),
    });
  }

  private async publishForm(
    manager: EntityManager,
    definition: FunnelDefinition,
    fileIds: Ids,
    templateIds: Ids,
  ): Promise<void> {
    const { funnel, title, sender, form } = definition;
    const { slug, template, optIn, consent, leadMagnet, ...texts } = form;
    await this.forms.publish(manager, {
      slug,
      template,
      optIn,
      sender,
      funnelKey: funnel,
      sequenceKey: funnel,
      consentText: consent,
      content: { ...texts, confirmTemplateId: idOf(templateIds, CONFIRM_MAIL), funnelTitle: title },
      leadMagnetFileId: leadMagnet === undefined ? null : idOf(fileIds, leadMagnet),
    });
  }

  private async archiveRest(manager: EntityManager, definition: FunnelDefinition): Promise<void> {
    const { funnel, form } = definition;
    await this.forms.archiveExcept(manager, funnel, [form.slug]);
    await this.shop.archiveRest(manager, definition);
  }
}

/** Two arms may send one template with different subjects. */
function mailName(key: string, subject: string | undefined): string {
  return subject === undefined ? key : `${key} ${subject}`;
}

function idOf(ids: Ids, key: string): string {
  const id = ids[key];
  if (id === undefined) throw new Error(`${key} was not published`);
  return id;
}
