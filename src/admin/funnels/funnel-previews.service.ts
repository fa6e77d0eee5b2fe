import { Inject, Injectable } from '@nestjs/common';
import { Drafts } from '../../delivery/preflight/drafts.service.js';
import { sampleData, SAMPLE_READER } from '../../delivery/mails/sample-data.js';
import { kindOf } from '../../delivery/preflight/variables.templates.js';
import { TemplatesService } from '../../delivery/mails/templates.service.js';
import { fieldDefinitionsOf } from '../../funnels/schemas/field.schemas.js';
import { readFunnelFile } from '../../funnels/yaml/funnel-file.js';
import { askedOf } from '../../funnels/publish/funnel-publisher.service.js';
import { inTemplateFolder } from '../../funnels/templates/funnel-templates.files.js';
import { pagesOf } from '../../funnels/templates/funnel-templates.js';
import type { FunnelDefinition } from '../../funnels/schemas/funnel.schemas.js';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { CONFIG, type Config } from '../../infra/config.js';
import { pageEngine, renderPage } from '../../infra/http/page-engine.js';
import { type FormField, formFields } from '../../signup/form-fields.js';
import { FieldsService } from '../../subscribers/fields.service.js';
import { DomainError } from '../../values/domain-error.js';
import type { Texts } from '../../values/template-texts.js';
import { MailFrame, PageFrame } from '../answers/answer.js';
import { samplePage } from './page-samples.js';

const MAIL = /^(emails\/.+)\.mjml$/;
const PAGE = /^(.+)\.liquid$/;

/** Mails and pages of a funnel as they were typed, with an invented reader. Keeps and sends nothing. */
@Injectable()
export class FunnelPreviews {
  constructor(
    private readonly templates: TemplatesService,
    private readonly drafts: Drafts,
    private readonly fields: FieldsService,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * `texts`: of all that the mail or page is made of. Throws `FUNNEL_INVALID` over a text that is no funnel or a page that
   * cannot be rendered, and what compiling and rendering a mail throw.
   */
  async of(path: string, { yaml, texts }: { yaml: string; texts: Texts }): Promise<MailFrame | PageFrame> {
    const read = readFunnelFile(yaml);
    if (!read.ok)
      throw new DomainError('FUNNEL_INVALID', 'Check the text of the funnel first: it cannot be read');
    const mail = MAIL.exec(path)?.[1];
    if (mail !== undefined) return new MailFrame(await this.mail(mail, read.definition, texts));
    const page = PAGE.exec(path)?.[1] ?? '';
    const asked = await this.asked(read.definition);
    const view = samplePage(page, read.definition, { now: this.clock.now(), asked });
    if (view === null) throw new DomainError('FUNNEL_INVALID', `${path} is no page of its own`);
    try {
      return new PageFrame(await renderPage(pageEngine(texts), page, view));
    } catch (error) {
      throw new DomainError('FUNNEL_INVALID', error instanceof Error ? error.message : String(error));
    }
  }

  /** As the form will ask once the funnel is applied, which makes its own fields. */
  private async asked({ form, fields }: FunnelDefinition): Promise<FormField[]> {
    const own = fieldDefinitionsOf(fields).map((field) => [field.key, field] as const);
    const definitions = new Map([...(await this.fields.definitions()), ...own]);
    return formFields((form.fields ?? []).map(askedOf), definitions);
  }

  private async mail(name: string, { sender, title }: FunnelDefinition, texts: Texts): Promise<string> {
    return inTemplateFolder(texts, async (folder) => {
      const template = await this.templates.compile(name, null, folder);
      const kind = kindOf(`${template.source}${template.html}`);
      const data = sampleData(kind, this.config.baseUrl, this.clock.now());
      const draft = { template, kind, data, sender, funnelTitle: title };
      return (await this.drafts.render(draft, SAMPLE_READER, false)).html;
    });
  }
}

/** Whether a text can be looked at alone: a mail, or a page that the funnel shows. */
export function mayPreview(path: string, definition: FunnelDefinition | null): boolean {
  if (MAIL.test(path)) return true;
  return definition !== null && pagesOf(definition).some(({ name }) => `${name}.liquid` === path);
}
