import { Body, Controller, Get, HttpCode, Param, Post, Req } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { DomainError } from '../../values/domain-error.js';
import type { FunnelDefinition } from '../../funnels/schemas/funnel.schemas.js';
import type { Texts } from '../../values/template-texts.js';
import { type Answer, Page, SeeOther } from '../answers/answer.js';
import { FunnelEditor, type Looked } from './funnel-editor.service.js';
import { findingsShown, MOVE_MODES, planShown, typedFunnel, type TypedFunnel } from './funnel-form.js';
import { FunnelPreviews, mayPreview } from './funnel-previews.service.js';
import { type FormProblem, messagesOf } from '../forms/form-problems.schemas.js';
import {
  keyTyped,
  NEW_FUNNEL,
  newFunnelProblems,
  newFunnelTyped,
  type NewFunnelTyped,
} from './new-funnel-form.js';
import { ownerOf } from '../access/owner-of-request.js';
import { typedTexts } from '../forms/typed-text.js';

const NOTHING: Looked = { findings: [], errors: {}, plan: null, conflict: null };

interface Shown {
  key: string | null;
  typed: TypedFunnel;
  looked?: Looked;
  simulation?: object | null;
  status?: number;
  /** The text that was just opened, to begin there. */
  opened?: string;
}

/** Where the owner changes a funnel as text: looks it through, sees the plan, and applies exactly that. */
@Controller('admin')
export class FunnelEditorController {
  constructor(
    private readonly editor: FunnelEditor,
    private readonly previews: FunnelPreviews,
  ) {}

  @Get('new-funnel')
  blank(): Answer {
    return newFunnelPage({}, []);
  }

  /** Asks for the names only: nothing is kept before the text is applied. */
  @Post('new-funnel')
  @HttpCode(200)
  async begin(@Body() body: unknown): Promise<Answer> {
    const typed = newFunnelTyped(body);
    const problems = newFunnelProblems(typed);
    const key = keyTyped(typed);
    if (problems.length === 0 && (await this.editor.titleOf(key)) !== null)
      problems.push({
        name: 'key',
        label: 'Key',
        message: `there is a funnel "${key}" already; use another one`,
      });
    if (problems.length > 0) return newFunnelPage(typed, problems);
    const yaml = await this.editor.startingText(typed);
    return this.show({ key: null, typed: { ...typedFunnel({}), yaml } });
  }

  /** Where somebody comes back to who signed in anew, or loaded the page again: what was typed is with the browser. */
  @Get('new-funnel/text')
  beginAgain(): Answer {
    return new SeeOther('/admin/new-funnel');
  }

  @Post('new-funnel/text')
  @HttpCode(200)
  async changeNew(@Body() body: unknown, @Req() request: FastifyRequest): Promise<Answer> {
    return this.act(null, body, request);
  }

  @Get('funnels/:key/edit')
  async edit(@Param('key') key: string): Promise<Answer> {
    const yaml = await this.editor.textOf(key);
    return this.show({ key, typed: { ...typedFunnel({}), yaml } });
  }

  @Post('funnels/:key/edit')
  @HttpCode(200)
  async change(
    @Param('key') key: string,
    @Body() body: unknown,
    @Req() request: FastifyRequest,
  ): Promise<Answer> {
    if ((await this.editor.titleOf(key)) === null)
      throw new DomainError('FUNNEL_NOT_FOUND', `there is no funnel "${key}"`, { key });
    return this.act(key, body, request);
  }

  private async act(key: string | null, body: unknown, request: FastifyRequest): Promise<Answer> {
    const typed = typedFunnel(body);
    const [action = '', ...rest] = typedTexts(body, 300)('action').split(':');
    const path = rest.join(':');
    if (action === 'open') return this.open(key, typed, path);
    if (action === 'preview') {
      const texts = await this.editor.madeOf(key, typed);
      return this.previews.of(path, { yaml: typed.yaml, texts });
    }
    if (action === 'simulate') return this.simulate(key, typed);
    if (action !== 'apply')
      return this.showLooked({ key, typed, looked: await this.editor.look(key, typed) });
    const applied = await this.editor.apply(key, typed, ownerOf(request)?.email ?? 'owner');
    // What is new is looked at, what was changed is compared.
    if (applied.ok) return new SeeOther(`/admin/funnels/${applied.key}${key === null ? '' : '/history'}`);
    return this.showLooked({ key, typed, looked: applied.looked });
  }

  private async open(key: string | null, typed: TypedFunnel, path: string): Promise<Answer> {
    const texts = await this.editor.madeOf(key, typed);
    const text = texts[path];
    const opened = text === undefined ? {} : { [path]: text.replaceAll('\r\n', '\n') };
    return this.show({ key, typed: { ...typed, texts: { ...typed.texts, ...opened } }, opened: path });
  }

  private async simulate(key: string | null, typed: TypedFunnel): Promise<Answer> {
    const done = await this.editor.simulate(key, typed.yaml);
    if ('simulation' in done) return this.show({ key, typed, simulation: done.simulation });
    return this.show({ key, typed, looked: { ...NOTHING, findings: done.findings }, status: 422 });
  }

  /** With the mails that are named and not there, to be written at once. */
  private async showLooked({
    key,
    typed,
    looked,
  }: {
    key: string | null;
    typed: TypedFunnel;
    looked: Looked;
  }): Promise<Answer> {
    const texts: Texts = { ...this.editor.missing(typed.yaml, looked.findings), ...typed.texts };
    const status = looked.conflict !== null ? 409 : looked.plan === null ? 422 : 200;
    return this.show({ key, typed: { ...typed, texts }, looked, status });
  }

  private async show({
    key,
    typed,
    looked = NOTHING,
    simulation = null,
    status = 200,
    opened = '',
  }: Shown): Promise<Answer> {
    const { plan, findings, ...rest } = looked;
    const texts = await this.editor.madeOf(key, typed);
    const definition = this.editor.definitionOf(typed.yaml);
    const view = {
      ...{ key, simulation, opened, ...rest, modes: MOVE_MODES },
      name: (key === null ? null : await this.editor.titleOf(key)) ?? 'New funnel',
      action: key === null ? '/admin/new-funnel/text' : `/admin/funnels/${key}/edit`,
      back: key === null ? '/admin/funnels' : `/admin/funnels/${key}`,
      typed: { ...typed, token: plan?.token ?? '' },
      rows: Math.min(Math.max(typed.yaml.split('\n').length + 2, 18), 44),
      plan: plan && planShown(plan),
      errorCount: findings.filter(({ severity }) => severity === 'error').length,
      findings: findingsShown(findings, typed.yaml),
      opens: Object.entries(typed.texts).map(([path, text]) => ({
        ...{ path, text, mayPreview: mayPreview(path, definition) },
        rows: Math.min(Math.max(text.split('\n').length + 1, 12), 32),
      })),
      closed: groupedTexts(texts, typed.texts, definition),
    };
    return new Page('funnel-edit', view, status);
  }
}

/** Those that are not open: mails, pages, and parts that several of them are made of. */
function groupedTexts(all: Texts, open: Texts, definition: FunnelDefinition | null): object[] {
  const closed = Object.keys(all)
    .filter((path) => open[path] === undefined)
    .map((path) => ({ path, mayPreview: mayPreview(path, definition) }));
  const groups = [
    { title: 'Mails', has: (path: string) => path.startsWith('emails/') },
    { title: 'Pages', has: (path: string) => path.startsWith('pages/') },
    { title: 'Parts of several of them', has: (path: string) => !/^(emails|pages)\//.test(path) },
  ];
  return groups
    .map(({ title, has }) => ({ title, texts: closed.filter(({ path }) => has(path)) }))
    .filter(({ texts }) => texts.length > 0);
}

function newFunnelPage(typed: NewFunnelTyped, problems: FormProblem[]): Answer {
  const view = { typed, problems, errors: messagesOf(problems), groups: NEW_FUNNEL };
  return new Page('funnel-new', view, problems.length === 0 ? 200 : 422);
}
