import { Injectable } from '@nestjs/common';
import { isDatabaseAway } from '../infra/database/lost-connection.js';
import type { FormField } from './form-fields.js';
import { FormsService, type Form } from './forms.service.js';

/** Whose looks are the longest ago is forgotten first. */
const MOST = 1_000;

export interface ServedForm {
  form: Form;
  /** What it asks beside address and name. */
  asked: readonly FormField[];
  /** Why it is as this process has served it last, and not as the database has it now; null: it is. */
  away: Error | null;
}

/** Forms for those who look at them and send them. While the database is away, as this process has served them last. */
@Injectable()
export class ServedForms {
  readonly #served = new Map<string, ServedForm>();

  constructor(private readonly forms: FormsService) {}

  /** Null when there is none. Rejects while the database is away and this process has not served it before. */
  async find(slug: string): Promise<ServedForm | null> {
    try {
      const form = await this.forms.findBySlug(slug);
      const found = form && { form, asked: await this.forms.fieldsOf(form), away: null };
      this.remember(slug, found);
      return found;
    } catch (error) {
      const last = this.#served.get(slug);
      if (last === undefined || !(error instanceof Error) || !isDatabaseAway(error)) throw error;
      return { ...last, away: error };
    }
  }

  private remember(slug: string, found: ServedForm | null): void {
    this.#served.delete(slug);
    if (found !== null) this.#served.set(slug, found);
    const [oldest] = this.#served.keys();
    if (this.#served.size > MOST && oldest !== undefined) this.#served.delete(oldest);
  }
}
