import { Injectable } from '@nestjs/common';
import type { Liquid } from 'liquidjs';
import { pageEngine, renderPage } from '../http/page-engine.js';
import { PageRenderer } from '../http/page-renderer.js';
import { TemplateTexts } from './template-texts.service.js';
import type { KeptTexts } from '../../values/template-texts.js';

/** Funnels with other pages than these are read anew, a look at a table. */
const MOST_ENGINES = 100;

/** Renders pages by the texts that a funnel was applied with, whatever stands in `templates/` by now. */
@Injectable()
export class KeptPages {
  /** By the ids of the texts, which never change; the least recently used is first. */
  readonly #engines = new Map<string, Promise<Liquid>>();

  constructor(
    private readonly texts: TemplateTexts,
    private readonly pages: PageRenderer,
  ) {}

  /** `kept`: those of a funnel; without it, or where it has not this page, the page of the folder is shown. */
  async render(kept: KeptTexts | undefined, template: string, view: object): Promise<string> {
    if (kept?.[`${template}.liquid`] === undefined) return this.pages.render(template, view);
    return renderPage(await this.engine(kept), template, view);
  }

  private async engine(kept: KeptTexts): Promise<Liquid> {
    const key = JSON.stringify(kept);
    const known = this.#engines.get(key);
    const engine = known ?? this.texts.read(kept).then((texts) => pageEngine(texts));
    this.#engines.delete(key);
    this.#engines.set(key, engine);
    // What could not be read is asked for again by the next visitor.
    if (known === undefined) engine.catch(() => this.#engines.delete(key));
    const [oldest] = this.#engines.keys();
    if (this.#engines.size > MOST_ENGINES && oldest !== undefined) this.#engines.delete(oldest);
    return engine;
  }
}
