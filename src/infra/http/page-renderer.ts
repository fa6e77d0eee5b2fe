import { join } from 'node:path';
import { Injectable } from '@nestjs/common';
import { Liquid } from 'liquidjs';
import { registerLiquidFilters } from './liquid-filters.js';
import { TEMPLATES_DIR } from './templates-dir.js';

/** Pages are small; these bounds only stop a template that went wrong from taking the process with it. */
const PARSE_LIMIT_CHARACTERS = 2_000_000;
const RENDER_LIMIT_MS = 2_000;
const MEMORY_LIMIT_UNITS = 20_000_000;

/** Renders the Liquid pages of `templates/`. Output is escaped unless a template says `| raw`. */
@Injectable()
export class PageRenderer {
  readonly #liquid: Liquid;

  constructor() {
    this.#liquid = new Liquid({
      root: TEMPLATES_DIR,
      layouts: TEMPLATES_DIR,
      partials: TEMPLATES_DIR,
      extname: '.liquid',
      outputEscape: 'escape',
      // A view may hold what a visitor typed: without this, a name such as `constructor` would reach into JavaScript.
      ownPropertyOnly: true,
      cache: true,
      parseLimit: PARSE_LIMIT_CHARACTERS,
      renderLimit: RENDER_LIMIT_MS,
      memoryLimit: MEMORY_LIMIT_UNITS,
    });
    registerLiquidFilters(this.#liquid);
  }

  /**
   * @param template path below `templates/` without its ending: `pages/confirm`.
   * @param view plain values; `locale` in it decides how the filter `money` writes amounts.
   * Throws when the template is missing or broken.
   */
  async render(template: string, view: object): Promise<string> {
    const globals = { locale: 'locale' in view ? view.locale : undefined };
    return String(await this.#liquid.renderFile(template, view, { globals }));
  }
}

/** Where the stylesheets, scripts and pictures of the pages lie. */
export const ASSETS_DIR = join(TEMPLATES_DIR, 'assets');
