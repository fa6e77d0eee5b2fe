import { Body, Controller, Get, Inject, Options, Param, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { CONFIG, type Config } from '../infra/config.js';
import { PageRenderer } from '../infra/http/page-renderer.js';
import { DomainError } from '../values/domain-error.js';
import { notFound } from '../values/not-found.js';
import { suggestionFor } from '../values/email-address-advice.js';
import { FormsService, type Form } from './forms.service.js';
import { FormIntake } from './form-intake.service.js';

const body = z.strictObject({
  email: z.string().max(1_000),
  name: z.string().max(1_000).optional(),
  timeZone: z.string().max(100).optional(),
  website: z.string().max(1_000).optional(),
  t: z.string().max(500).optional(),
  /** The code of an affiliate, from `?a=CODE` in the address of the page that the form stands on. */
  affiliate: z.string().max(100).optional(),
  /** Answers to what the form asks beside, by the key of the field. What it asked when the page was opened, and asks no more, is left out. */
  fields: z.record(z.string().max(50), z.union([z.string().max(2_000), z.number(), z.boolean()])).optional(),
});

/** The form on other people's sites: one script tag, no cookie, any origin. */
@Controller()
export class EmbeddedFormController {
  constructor(
    private readonly forms: FormsService,
    private readonly intake: FormIntake,
    private readonly pages: PageRenderer,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** The script draws the form where its tag stands. Not cached: it carries the time at which it was handed out. */
  @Get('f/:file')
  async script(@Param('file') file: string, @Res() reply: FastifyReply): Promise<void> {
    const form = file.endsWith('.js') ? await this.forms.findBySlug(file.slice(0, -3)) : null;
    if (!form) throw notFound('form', file, 'slug');
    const { headline, subheadline, button } = form.content;
    const settings = {
      action: `${this.config.baseUrl}/api/public/forms/${form.slug}`,
      token: this.intake.issueToken(),
      headline,
      subheadline,
      button,
      consent: form.consentText,
      fields: await this.forms.fieldsOf(form),
    };
    // `<` is written out so that the settings cannot end a script element, wherever somebody pastes this.
    const json = JSON.stringify(settings).replaceAll('<', '\\u003c');
    await reply
      .header('content-type', 'text/javascript; charset=utf-8')
      .header('cache-control', 'no-store')
      .header('cross-origin-resource-policy', 'cross-origin')
      .send(await this.pages.render('pages/embedded-form', { settings: json }));
  }

  @Options('api/public/forms/:slug')
  async preflight(@Res() reply: FastifyReply): Promise<void> {
    await allowAnyOrigin(reply)
      .header('access-control-allow-methods', 'POST')
      .header('access-control-allow-headers', 'content-type')
      .header('access-control-max-age', '86400')
      .status(204)
      .send();
  }

  @Post('api/public/forms/:slug')
  async submit(
    @Param('slug') slug: string,
    @Body({ schema: body }) typed: z.output<typeof body>,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    allowAnyOrigin(reply);
    const form = await this.forms.findBySlug(slug);
    if (!form) throw notFound('form', slug, 'slug');
    const asked = await this.forms.fieldsOf(form);
    const outcome = await this.intake.take(form, asked, typed, request);
    if (outcome.kind === 'limited') {
      throw new DomainError('SIGNUP_RATE_LIMITED', 'Too many sign-ups came from your network.', {
        retryAfterSeconds: outcome.retryAfterSeconds,
      });
    }
    if (outcome.kind === 'bad') {
      const { fields = {}, ...own } = outcome.errors;
      const ofFields = Object.entries(fields).map(([key, message]) => [`fields.${key}`, message] as const);
      throw invalid([...Object.entries(own), ...ofFields]);
    }
    const suggestion = suggestionFor(outcome.email);
    await reply.status(202).send({ status: statusOf(form), ...(suggestion === null ? {} : { suggestion }) });
  }
}

function invalid(problems: readonly (readonly [field: string, message: string])[]): DomainError {
  const errors = problems.map(([field, message]) => ({ field, message }));
  return new DomainError('SIGNUP_INVALID', errors.map(({ message }) => message).join(' '), { errors });
}

function statusOf({ optIn }: Form): 'check_inbox' | 'subscribed' {
  return optIn === 'double' ? 'check_inbox' : 'subscribed';
}

/** No credentials are involved, so any site may ask. */
function allowAnyOrigin(reply: FastifyReply): FastifyReply {
  return reply.header('access-control-allow-origin', '*').header('vary', 'origin');
}
