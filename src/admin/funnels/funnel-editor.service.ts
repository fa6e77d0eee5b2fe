import { Injectable } from '@nestjs/common';
import { mailFrame } from '../../delivery/mails/written-mail.js';
import { DemoService, FUNNELS_FOLDER } from '../../funnels/demo.service.js';
import { readFunnelFile } from '../../funnels/yaml/funnel-file.js';
import { templatesReader } from '../../funnels/templates/funnel-templates.files.js';
import { collectTemplates, mailNames, pagesOf } from '../../funnels/templates/funnel-templates.js';
import type { FunnelDefinition } from '../../funnels/schemas/funnel.schemas.js';
import { FunnelsService, type FileOptions, type FunnelPlan } from '../../funnels/funnels.service.js';
import { RULES, type Finding } from '../../funnels/lint/rules.js';
import { parsePlanTokens } from '../../funnels/changes/plan-token.js';
import { SimulationService } from '../../funnels/simulation/simulation.service.js';
import { headline, simulationText, summaryText } from '../../funnels/simulation/timeline-text.js';
import { DomainError } from '../../values/domain-error.js';
import type { Texts } from '../../values/template-texts.js';
import { moveTyped, tooLong, withTyped, type TypedFunnel } from './funnel-form.js';
import { type NewFunnelTyped, startingYaml } from './new-funnel-form.js';

/** What came of looking a typed funnel through. */
export interface Looked {
  findings: Finding[];
  /** By the field of the choice for people. */
  errors: Record<string, string>;
  plan: FunnelPlan | null;
  /** Why a plan that was shown was not carried out. */
  conflict: string | null;
}

export type Applied = { ok: true; key: string } | { ok: false; looked: Looked };

/** Begins a mail that a step names and that nobody has written. */
const NEW_MAIL = mailFrame({
  subject: 'The subject of this mail',
  preview: 'What mail programs show behind it',
  content: `          <mj-text>
            <p>Hi {{ subscriber.firstName | default: 'there' }},</p>
            <p></p>
          </mj-text>`,
});

/**
 * Funnels as text in the web app: the same plan and apply as those of commands and the REST API. `key` is null for a
 * funnel that is to come.
 */
@Injectable()
export class FunnelEditor {
  constructor(
    private readonly funnels: FunnelsService,
    private readonly simulations: SimulationService,
    private readonly demo: DemoService,
  ) {}

  /** Throws `FUNNEL_NOT_FOUND`. */
  async textOf(key: string): Promise<string> {
    return this.funnels.export(key, { withTexts: false });
  }

  async startingText(begun: NewFunnelTyped): Promise<string> {
    return startingYaml(await this.demo.startingText(), begun);
  }

  /** Null when there is no such funnel. */
  async titleOf(key: string): Promise<string | null> {
    return (await this.funnels.list()).find((funnel) => funnel.key === key)?.title ?? null;
  }

  /** Of the mails and pages of the funnel, with what was typed in their place. */
  async texts(key: string | null, typed: Texts): Promise<Texts> {
    const kept = key === null ? undefined : await this.funnels.keptTexts(key);
    return withTyped(kept ?? {}, typed);
  }

  /**
   * All that the mails and pages of the typed text are made of: what was typed, what is kept with the funnel, and the rest as
   * it stands in the folder `templates`. Of a text that is no funnel, what is kept.
   */
  async madeOf(key: string | null, { yaml, texts: typed }: TypedFunnel): Promise<Texts> {
    const known = await this.texts(key, typed);
    const definition = this.definitionOf(yaml);
    if (definition === null) return known;
    const own = Object.entries(definition.templates ?? {}).filter(([, text]) => typeof text === 'string');
    const read = templatesReader({ ...known, ...(Object.fromEntries(own) as Texts) });
    const { texts } = await collectTemplates(definition, read);
    return { ...texts, ...typed };
  }

  definitionOf(yaml: string): FunnelDefinition | null {
    const read = readFunnelFile(yaml);
    return read.ok ? read.definition : null;
  }

  /** Changes nothing. */
  async look(key: string | null, typed: TypedFunnel): Promise<Looked> {
    const done = await this.attempt(key, typed, async (options) =>
      this.funnels.plan(typed.yaml, null, 'text', options),
    );
    return done.looked;
  }

  /** Does what the plan showed that the token stands for, or nothing; then it says what the plan is now. */
  async apply(key: string | null, typed: TypedFunnel, by: string): Promise<Applied> {
    const tokens = parsePlanTokens(typed.token);
    if (tokens === null || !moveTyped(typed).ok) return { ok: false, looked: await this.look(key, typed) };
    const { plan, looked } = await this.attempt(key, typed, async (options) =>
      this.funnels.apply(typed.yaml, null, 'text', {
        ...options,
        tokens,
        by,
      }),
    );
    if (plan !== null) return { ok: true, key: plan.funnel };
    if (looked.conflict === null) return { ok: false, looked };
    return { ok: false, looked: { ...(await this.look(key, typed)), conflict: looked.conflict } };
  }

  /** What would happen to some usual people, in words. */
  async simulate(
    key: string | null,
    yaml: string,
  ): Promise<{ simulation: object } | { findings: Finding[] }> {
    const read = readFunnelFile(yaml);
    const own = key ?? (read.ok ? read.definition.funnel : '');
    try {
      const simulation = await this.simulations.run(own, { yaml });
      const { summary } = simulation;
      const words = { headline: headline(simulation), summary: summaryText(summary) };
      return { simulation: { ...words, timeline: simulationText(simulation) } };
    } catch (error) {
      return { findings: findingsOf(error, yaml) };
    }
  }

  /** Mails and pages that the text names and that are not there, as they may be begun. */
  missing(yaml: string, findings: readonly Finding[]): Texts {
    const read = readFunnelFile(yaml);
    if (!read.ok) return {};
    const mails = mailNames(read.definition).map((name) => [`${name}.mjml`, NEW_MAIL] as const);
    const pages = pagesOf(read.definition).map(({ name }) => [`${name}.liquid`, ''] as const);
    const isMissing = (path: string): boolean =>
      findings.some(
        ({ rule, message }) => rule === 'unknown-template' && message.endsWith(` templates/${path}`),
      );
    return Object.fromEntries([...mails, ...pages].filter(([path]) => isMissing(path)));
  }

  private async attempt(
    key: string | null,
    typed: TypedFunnel,
    work: (options: FileOptions) => Promise<FunnelPlan>,
  ): Promise<{ plan: FunnelPlan | null; looked: Looked }> {
    const nothing = { findings: [], errors: {}, plan: null, conflict: null };
    const long = tooLong(typed.yaml);
    if (long.length > 0) return { plan: null, looked: { ...nothing, findings: long } };
    const choice = moveTyped(typed);
    try {
      await this.checkKey(key, typed.yaml);
      const texts = await this.texts(key, typed.texts);
      const move = choice.ok ? choice.move : undefined;
      // A new funnel begins with the names of files of the demonstration, which not every installation has applied.
      const from = key === null ? { spare: FUNNELS_FOLDER } : { key };
      const plan = await work({ texts, move, ...from });
      if (choice.ok) return { plan, looked: { ...nothing, plan, findings: plan.warnings } };
      return { plan: null, looked: { ...nothing, errors: choice.errors, findings: plan.warnings } };
    } catch (error) {
      const isConflict = error instanceof DomainError && error.code === 'FUNNEL_PLAN_CONFLICT';
      if (isConflict) return { plan: null, looked: { ...nothing, conflict: error.message } };
      return { plan: null, looked: { ...nothing, findings: findingsOf(error, typed.yaml) } };
    }
  }

  /**
   * Another key would be another funnel, and the names that the two share would hide the reason. A new funnel of a key that is
   * there would be a change of that one, whose plan the owner did not ask for.
   */
  private async checkKey(key: string | null, yaml: string): Promise<void> {
    const read = readFunnelFile(yaml);
    if (!read.ok || read.definition.funnel === key) return;
    const { funnel } = read.definition;
    if (key !== null)
      throw new DomainError('FUNNEL_KEY_INVALID', `this funnel is "${key}", and its key stays as it is`, {
        key,
      });
    if ((await this.titleOf(funnel)) === null) return;
    const message = `there is a funnel "${funnel}" already; give this one another key, or change that one on its page`;
    throw new DomainError('FUNNEL_KEY_INVALID', message, { key: funnel });
  }
}

/** What was refused, at its line. Throws what is no refusal. */
function findingsOf(error: unknown, yaml: string): Finding[] {
  if (!(error instanceof DomainError)) throw error;
  const { problems } = error.facts;
  if (Array.isArray(problems)) return problems.filter(isFinding);
  const isKey = error.code === 'FUNNEL_KEY_INVALID';
  const line = isKey ? yaml.split('\n').findIndex((text) => /^funnel\s*:/.test(text)) + 1 : 0;
  const field = isKey ? 'funnel' : '';
  const message = error.message.replace(/^(text|yaml): /, '');
  return [{ rule: 'wrong-value', severity: 'error', line: line === 0 ? null : line, field, message }];
}

function isFinding(value: unknown): value is Finding {
  return typeof value === 'object' && value !== null && 'rule' in value && String(value.rule) in RULES;
}
