import { Body, Controller, Get, Inject, Options, Param, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { CONFIG, type Config } from '../infra/config.js';
import { ApiRoute } from '../infra/http/api-route.js';
import { PageRenderer } from '../infra/http/page-renderer.js';
import { DomainError } from '../values/domain-error.js';
import { notFound } from '../values/not-found.js';
import { suggestionFor } from '../values/email-address-advice.js';
import { slugParam } from './forms.controller.js';
import { FormsService, type Form } from './forms.service.js';
import { FormIntake } from './form-intake.service.js';
import { ServedForms } from './served-forms.service.js';

const body = z.strictObject({
  email: z.string().max(1_000),
  name: z.string().max(1_000).optional(),
  timeZone: z.string().max(100).optional().meta({ description: 'IANA; the browser knows it.' }),
  website: z.string().max(1_000).optional().meta({
    description:
      'For a field that people do not see: whoever fills it in gets the usual answer, and nothing else happens.',
  }),
  t: z.string().max(500).optional().meta({
    description:
      'The token in the script of the form. Without it a sign-up counts three times towards the limit.',
  }),
  affiliate: z.string().max(100).optional().meta({
    description:
      'The code of an affiliate, from `?a=CODE` in the address of the page that the form stands on.',
  }),
  fields: z
    .record(z.string().max(50), z.union([z.string().max(2_000), z.number(), z.boolean()]))
    .optional()
    .meta({
      description:
        'Answers to what the form asks beside, by the key of the field. What it does not ask is left out.',
    }),
});
const signUpAnswer = z.object({
  status: z.enum(['check_inbox', 'subscribed']).meta({
    description:
      '`check_inbox`: a mail asks for confirmation. The same for everybody, also for who is known already.',
  }),
  delayed: z.literal(true).optional().meta({
    description:
      'The sign-up is kept, and the mail of either status comes shortly: the database takes nothing right now.',
  }),
  suggestion: z.string().optional().meta({ description: 'An address that was likely meant.' }),
});

/** The form on other people's sites: one script tag, no cookie, any origin. */
@Controller()
export class EmbeddedFormController {
  constructor(
    private readonly served: ServedForms,
    private readonly intake: FormIntake,
    private readonly pages: PageRenderer,
    private readonly forms: FormsService,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** The script draws the form where its tag stands. Not cached: it carries the time at which it was handed out. */
  @Get('f/:file')
  async script(@Param('file') file: string, @Res() reply: FastifyReply): Promise<void> {
    const found = file.endsWith('.js') ? await this.served.find(file.slice(0, -3)) : null;
    if (!found) throw await this.missing(file.replace(/\.js$/, ''), file);
    const { form, asked } = found;
    const { headline, subheadline, button } = form.content;
    const settings = {
      action: `${this.config.baseUrl}/api/public/forms/${form.slug}`,
      token: this.intake.issueToken(),
      headline,
      subheadline,
      button,
      consent: form.consentText,
      fields: asked,
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
    await reply
      .header('access-control-allow-methods', 'POST')
      .header('access-control-allow-headers', 'content-type')
      .header('access-control-max-age', '86400')
      .status(204)
      .send();
  }

  @Post('api/public/forms/:slug')
  @ApiRoute({
    summary: 'Sign up by a form, from any site',
    description:
      'Without a key, by the script of the form or by one of your own; any origin may send and read it. At most 30 sign-ups in ten minutes from one network address, a third of that without a token. Who has been asked to confirm often enough gets no more mail, and the answer is the same.',
    tag: 'forms',
    response: signUpAnswer,
    status: 202,
    public: true,
    errors: ['FORM_NOT_FOUND', 'FORM_GONE', 'SIGNUP_INVALID', 'SIGNUP_RATE_LIMITED'],
    example: { email: 'ada@example.com', name: 'Ada', timeZone: 'Europe/Vienna' },
  })
  async submit(
    @Param('slug', { schema: slugParam }) slug: string,
    @Body({ schema: body }) typed: z.output<typeof body>,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const found = await this.served.find(slug);
    if (!found) throw await this.missing(slug);
    const outcome = await this.intake.take(found, typed, request);
    if (outcome.kind === 'later') throw outcome.why;
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
    await reply.status(202).send({
      status: statusOf(found.form),
      ...(outcome.isLate ? { delayed: true } : {}),
      ...(suggestion === null ? {} : { suggestion }),
    });
  }

  private async missing(slug: string, shown = slug): Promise<DomainError> {
    if ((await this.forms.closed(slug)) === null) return notFound('form', shown, 'slug');
    return new DomainError('FORM_GONE', 'This form is closed: nobody can sign up by it any more.', { slug });
  }
}

function invalid(problems: readonly (readonly [field: string, message: string])[]): DomainError {
  const errors = problems.map(([field, message]) => ({ field, message }));
  return new DomainError('SIGNUP_INVALID', errors.map(({ message }) => message).join(' '), { errors });
}

function statusOf({ optIn }: Form): 'check_inbox' | 'subscribed' {
  return optIn === 'double' ? 'check_inbox' : 'subscribed';
}
