import { Body, Controller, Get, Inject, Param, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { readCode } from '../affiliates/affiliate.js';
import { CONFIG, type Config } from '../infra/config.js';
import { takesNoWrites } from '../infra/database/lost-connection.js';
import { KeptPages } from '../infra/templates/kept-pages.service.js';
import { sendPage } from '../infra/http/send-page.js';
import { TrackingService } from '../tracking/tracking.service.js';
import { suggestionFor } from '../values/email-address-advice.js';
import type { FormField } from './form-fields.js';
import { FormsService, type Form } from './forms.service.js';
import { FormIntake } from './form-intake.service.js';
import { ServedForms } from './served-forms.service.js';
import type { SubmissionErrors, TypedValues } from './submission.js';

/** Loose on purpose: a visitor with a strange browser gets a page with words, not an error of a machine. */
const typed = z.record(z.string(), z.unknown()).nullish();
/** So long until the page sends it again by itself. */
const LATER_SECONDS = 60;
const LATER =
  'This cannot be noted right now. What you typed is still here: please press the button again in a minute.';
const LIMITED = 'Too many sign-ups came from your network. Please try again in ten minutes.';

const MISSING = {
  heading: 'No such page',
  message: 'There is no page at this address. It may have ended, or the address is not complete.',
};
/** Nothing went wrong: it is the sender's page, and no error of a machine. */
const CLOSED = {
  heading: 'This page is closed',
  message:
    'Nobody can sign up here any more. What you have bought, and the mails that you get, stay as they are.',
};

@Controller('p')
export class SqueezePageController {
  constructor(
    private readonly forms: FormsService,
    private readonly served: ServedForms,
    private readonly intake: FormIntake,
    private readonly tracking: TrackingService,
    private readonly pages: KeptPages,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  @Get(':slug')
  async show(
    @Param('slug') slug: string,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const found = await this.served.find(slug);
    if (!found) {
      const successor = await this.forms.successor(slug);
      if (successor === null) return this.missing(reply, slug);
      // For now: the address may be taken by another funnel one day.
      await reply.redirect(`/p/${successor}`, 302);
      return;
    }
    const { form, asked, away } = found;
    // While nothing can be saved the page is there, and nobody is counted who looks at it.
    if (away !== null) this.tracking.rememberVisit(request);
    else
      await this.tracking
        .recordVisit({ page: 'squeeze', slug, funnelKey: form.funnelKey, request })
        .catch((error: unknown) => {
          if (!takesNoWrites(error)) throw error;
          this.tracking.rememberVisit(request);
        });
    sendPage(reply, 200, await this.page(form, asked, {}, {}));
  }

  @Post(':slug')
  async submit(
    @Param('slug') slug: string,
    @Body({ schema: typed }) body: z.output<typeof typed>,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const found = await this.served.find(slug);
    if (!found) return this.missing(reply, slug);
    const { form, asked } = found;
    const outcome = await this.intake.take(found, body ?? {}, request);
    const timeZone = typeof body?.timeZone === 'string' ? body.timeZone : '';
    // The page with what was typed stands at the address without it.
    const affiliate = readCode(this.intake.codeOf(body ?? {}, request) ?? '');
    const marks = { timeZone, ...(affiliate === null ? {} : { affiliate }) };
    if (outcome.kind === 'bad') {
      sendPage(reply, 422, await this.page(form, asked, { ...outcome.values, ...marks }, outcome.errors));
      return;
    }
    if (outcome.kind === 'later') {
      reply.header('retry-after', String(LATER_SECONDS));
      const again = { pressAgainSeconds: LATER_SECONDS };
      sendPage(
        reply,
        503,
        await this.page(form, asked, { ...outcome.values, ...marks, ...again }, { form: LATER }),
      );
      return;
    }
    if (outcome.kind === 'limited') {
      reply.header('retry-after', String(outcome.retryAfterSeconds));
      sendPage(reply, 429, await this.page(form, asked, { ...outcome.values, ...marks }, { form: LIMITED }));
      return;
    }
    const { pages, ...content } = form.content;
    const view = {
      form: { ...content, slug, title: content.funnelTitle, optIn: form.optIn },
      email: outcome.email,
      suggestion: suggestionFor(outcome.email),
      footer: footerOf(form),
      // The same words for all: who is known already is asked first, and nobody else may learn whether they are.
      signedUp: true,
      ...(this.config.mailboxOn ? { mailboxUrl: '/mailbox' } : {}),
    };
    const done = form.optIn === 'double' ? 'pages/check-inbox' : 'pages/confirmed';
    const page = outcome.isLate ? 'pages/mail-comes' : done;
    sendPage(reply, 200, await this.pages.render(pages, page, view));
  }

  private async page(
    form: Form,
    asked: readonly FormField[],
    values: Partial<TypedValues> & { timeZone?: string; affiliate?: string; pressAgainSeconds?: number },
    errors: SubmissionErrors & { form?: string },
  ): Promise<string> {
    const { slug, optIn, consentText, template } = form;
    const { pages, ...content } = form.content;
    const fields = asked.map((field) => ({
      ...field,
      value: values.fields?.[field.key] ?? '',
      error: errors.fields?.[field.key],
    }));
    return this.pages.render(pages, template, {
      form: { ...content, title: content.funnelTitle, slug, optIn, consent: consentText, fields },
      values,
      errors,
      issuedToken: this.intake.issueToken(),
      footer: footerOf(form),
    });
  }

  private async missing(reply: FastifyReply, slug: string): Promise<void> {
    const closed = await this.forms.closed(slug);
    const view = closed ? { ...CLOSED, footer: footerOf(closed) } : { ...MISSING, status: 404 };
    sendPage(reply, closed ? 410 : 404, await this.pages.render(undefined, 'pages/error', view));
  }
}

export function footerOf({ sender }: Pick<Form, 'sender'>): { senderName: string; postalAddress: string } {
  return { senderName: sender.name, postalAddress: sender.postalAddress };
}
