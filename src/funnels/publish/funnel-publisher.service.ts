import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { TemplatesService } from '../../delivery/mails/templates.service.js';
import { SequencesService } from '../../sequences/sequences.service.js';
import type { AskedField } from '../../signup/form-fields.js';
import { FormsService } from '../../signup/forms.service.js';
import { TemplateTexts } from '../../infra/templates/template-texts.service.js';
import type { KeptTexts } from '../../values/template-texts.js';
import { inTemplateFolder } from '../templates/funnel-templates.files.js';
import {
  CONFIRM_MAIL,
  mailNames,
  RECEIPT_MAIL,
  type FunnelTemplates,
} from '../templates/funnel-templates.js';
import type { MovedObject } from '../changes/moved-objects.queries.js';
import type { FunnelDefinition } from '../schemas/funnel.schemas.js';
import { offerSnapshot } from './offer-snapshot.js';
import { stepMails } from '../schemas/step.schemas.js';
import { sequenceDefinition } from './sequence-definition.js';
import { ShopPublisher } from './shop-publisher.service.js';

type Ids = Readonly<Record<string, string>>;

/** What a funnel is made of: ids of the mails and of the stored files, by the names the funnel gives them. */
export interface FunnelParts {
  mails: Ids;
  files: Ids;
  /** Of its mails and pages, by their path below `templates/`; not there in a version of before they were kept. */
  texts?: KeptTexts;
}

/** Hands each part of a funnel to the module that owns it, inside the caller's transaction. */
@Injectable()
export class FunnelPublisher {
  constructor(
    private readonly templates: TemplatesService,
    private readonly shop: ShopPublisher,
    private readonly sequences: SequencesService,
    private readonly forms: FormsService,
    private readonly texts: TemplateTexts,
  ) {}

  /** Stores the mails and texts of the funnel, as they are now; `files` are stored. */
  async parts(
    manager: EntityManager,
    definition: FunnelDefinition,
    { templates, files }: { templates: FunnelTemplates; files: Ids },
  ): Promise<FunnelParts> {
    const mails = await this.publishMails(manager, definition, templates);
    return { files, mails, texts: await this.texts.keep(manager, templates.texts) };
  }

  /** Makes the objects say what the definition says; returns the id of the sequence. */
  async publish(
    manager: EntityManager,
    definition: FunnelDefinition,
    { mails, files, texts }: FunnelParts,
  ): Promise<string> {
    const fileId = (name: string): string => idOf(files, name);
    const pages = texts && pageTexts(texts);
    const receiptTemplateId = idOf(mails, RECEIPT_MAIL);
    await this.shop.publish(manager, definition, { fileId, receiptTemplateId, pages });
    const sequenceId = await this.publishSequence(manager, definition, mails);
    await this.publishForm(manager, definition, { mails, files, pages });
    await this.archiveRest(manager, definition);
    return sequenceId;
  }

  /** Before any of the funnels is published: so it does not matter which of them comes first. */
  async move(manager: EntityManager, moved: readonly MovedObject[]): Promise<void> {
    for (const { kind, key, to } of moved)
      await (kind === 'form'
        ? this.forms.moveTo(manager, key, to)
        : this.shop.moveTo(manager, { kind, key }, to));
  }

  async publishMails(
    manager: EntityManager,
    definition: FunnelDefinition,
    { texts }: FunnelTemplates,
  ): Promise<Ids> {
    return inTemplateFolder(texts, async (folder) => {
      const ids: Record<string, string> = {};
      for (const key of mailNames(definition))
        ids[key] = await this.templates.publish(manager, key, null, folder);
      for (const { step, subject } of stepMails(definition.sequence.steps)) {
        if (subject === undefined) continue;
        const name = mailName(step.email, subject);
        ids[name] = await this.templates.publish(manager, step.email, subject, folder);
      }
      return ids;
    });
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
    { mails, files, pages }: { mails: Ids; files: Ids; pages: KeptTexts | undefined },
  ): Promise<void> {
    const { funnel, title, sender, form } = definition;
    const { slug, template, optIn, consent, leadMagnet, fields = [], ...texts } = form;
    await this.forms.publish(manager, {
      slug,
      template,
      optIn,
      sender,
      funnelKey: funnel,
      sequenceKey: funnel,
      consentText: consent,
      content: {
        ...{ ...texts, pages, confirmTemplateId: idOf(mails, CONFIRM_MAIL), funnelTitle: title },
        ...(fields.length === 0 ? {} : { fields: fields.map(askedOf) }),
      },
      leadMagnetFileId: leadMagnet === undefined ? null : idOf(files, leadMagnet),
    });
  }

  private async archiveRest(manager: EntityManager, definition: FunnelDefinition): Promise<void> {
    const { funnel, form } = definition;
    await this.forms.archiveExcept(manager, funnel, [form.slug]);
    await this.shop.archiveRest(manager, definition);
  }
}

/** A field that a form asks for, as the text of a funnel says it. */
export function askedOf(asked: NonNullable<FunnelDefinition['form']['fields']>[number]): AskedField {
  return typeof asked === 'string'
    ? { field: asked, required: false }
    : { ...asked, required: asked.required ?? false };
}

/** Two arms may send one template with different subjects. */
function mailName(key: string, subject: string | undefined): string {
  return subject === undefined ? key : `${key} ${subject}`;
}

/** Of the texts, those of pages. */
function pageTexts(texts: KeptTexts): KeptTexts {
  return Object.fromEntries(Object.entries(texts).filter(([path]) => path.endsWith('.liquid')));
}

function idOf(ids: Ids, key: string): string {
  const id = ids[key];
  if (id === undefined) throw new Error(`${key} was not published`);
  return id;
}
