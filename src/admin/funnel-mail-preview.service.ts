import { Inject, Injectable } from '@nestjs/common';
import { Drafts } from '../delivery/preflight/drafts.service.js';
import { sampleData } from '../delivery/preflight/sample-data.js';
import { kindOf } from '../delivery/preflight/variables.js';
import { TemplatesService } from '../delivery/templates.service.js';
import { readFunnelFile } from '../funnels/funnel-file.js';
import { inTemplateFolder } from '../funnels/funnel-templates.files.js';
import { FunnelsService } from '../funnels/funnels.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { CONFIG, type Config } from '../infra/config.js';
import { DomainError } from '../values/domain-error.js';
import type { Texts } from '../values/template-texts.js';

const READER = { email: 'reader@example.com', name: 'Grace Hopper', fields: {} };
const MAIL = /^(emails\/.+)\.mjml$/;

/** A mail of a funnel as it was typed, with an invented reader. Keeps and sends nothing. */
@Injectable()
export class FunnelMailPreview {
  constructor(
    private readonly funnels: FunnelsService,
    private readonly templates: TemplatesService,
    private readonly drafts: Drafts,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Throws `FUNNEL_INVALID` over a text that is no funnel, and what compiling and rendering throw. */
  async html(path: string, { yaml, texts }: { yaml: string; texts: Texts }): Promise<string> {
    const name = MAIL.exec(path)?.[1];
    const read = readFunnelFile(yaml);
    if (!read.ok || name === undefined)
      throw new DomainError('FUNNEL_INVALID', 'Check the text of the funnel first: it cannot be read');
    const { sender, title } = read.definition;
    const all = { ...texts, ...(await this.funnels.textsFor(yaml, null, texts)) };
    return inTemplateFolder(all, async (folder) => {
      const template = await this.templates.compile(name, null, folder);
      const kind = kindOf(`${template.source}${template.html}`);
      const data = sampleData(kind, this.config.baseUrl, this.clock.now());
      const draft = { template, kind, data, sender, funnelTitle: title };
      return (await this.drafts.render(draft, READER, false)).html;
    });
  }
}
