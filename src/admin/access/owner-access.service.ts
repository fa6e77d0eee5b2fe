import { randomBytes } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { CONFIG, type Config } from '../../infra/config.js';
import { PageRenderer } from '../../infra/http/page-renderer.js';
import { seeOther, sendPage } from '../../infra/http/send-page.js';
import { DomainError } from '../../values/domain-error.js';
import { signExpiring, verifyExpiring } from '../../values/signed-token.js';
import { urlOf } from '../../values/url.js';
import { loginForm } from './login.schemas.js';
import { type KeptForm, keptForm, withoutSignIn } from './kept-form.js';
import { rememberOwner } from './owner-of-request.js';
import { OwnerService, type OpenedSession } from './owner.service.js';
import { isAtHome, isSameOrigin, returnPath } from './same-origin.js';
import { isSetupCode } from './setup-code.js';

const COOKIE = 'ws_session';
/** Says that somebody has signed in with this browser before. It opens nothing; see the limits of `OwnerService`. */
const BROWSER_COOKIE = 'ws_browser';
const BROWSER_MS = 365 * 24 * 3_600_000;
const BROWSER_ID_BYTES = 16;

/** The door of the owner's pages: who comes in, and how the browser remembers it. */
@Injectable()
export class OwnerAccess {
  constructor(
    private readonly owners: OwnerService,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
    private readonly pages: PageRenderer,
  ) {}

  /**
   * Whether the owner asks, whom `ownerOf` then knows. Anybody else is sent to sign in (on a fresh installation, to set
   * it up), and with `false` the request is answered: a guard need not say more. A form that comes after its session has
   * ended is kept in the page that asks to sign in, which sends it once more with the password: nothing typed is lost.
   */
  async admit(request: FastifyRequest, reply: FastifyReply): Promise<boolean> {
    const owner = await this.owners.bySession(request.cookies[COOKIE]);
    if (owner !== null) {
      rememberOwner(request, owner);
      if (this.browserId(request) === null) this.rememberBrowser(reply);
      // Whoever loads a page anew that came of signing in within a form sends the password again, now with a session.
      if (keptForm(request.body) !== null) request.body = withoutSignIn(Object(request.body) as object);
      return true;
    }
    const isForm = request.method === 'POST';
    // Of a browser in which nobody has signed in yet, no form can have been begun in a session.
    const held = isForm && this.browserId(request) !== null ? keptForm(request.body) : null;
    if (held !== null) return this.admitAgain(request, reply, held);
    const back = isForm ? this.pageBefore(request) : request.url;
    const target = (await this.owners.exists())
      ? `/admin/login?next=${encodeURIComponent(back)}`
      : '/admin/setup';
    await seeOther(reply, target);
    return false;
  }

  /** Signs in with what stands beside the form, which then goes on as if the session had never ended; else asks (again). */
  private async admitAgain(
    request: FastifyRequest,
    reply: FastifyReply,
    { fields, credentials }: KeptForm,
  ): Promise<boolean> {
    const errors: Record<string, string> = {};
    if (credentials !== null) {
      const form = loginForm.safeParse(credentials);
      const from = { ip: request.ip, browserId: this.browserId(request) };
      const outcome = form.success ? await this.owners.login(form.data, from) : null;
      if (outcome?.kind === 'signed_in') {
        const owner = await this.owners.bySession(outcome.session.token);
        if (owner === null) throw new Error('a session that was just opened is not there');
        this.remember(reply, outcome.session);
        rememberOwner(request, owner);
        request.body = withoutSignIn(Object(request.body) as object);
        return true;
      }
      errors['form'] =
        outcome?.kind === 'limited'
          ? `Too many tries. Wait ${Math.ceil(outcome.retryAfterSeconds / 60)} minutes, then try again.`
          : 'The address or the password is wrong.';
    }
    const view = { action: request.url, fields, errors, email: credentials?.email ?? '' };
    sendPage(reply, 403, await this.pages.render('admin/login-again', view));
    return false;
  }

  /** Where a form stood, as far as the browser tells: its own address may take nothing but forms. */
  private pageBefore({ headers: { referer = '', host } }: FastifyRequest): string {
    const from = urlOf(referer);
    const isOurs = from !== null && isSameOrigin(from.origin, { baseUrl: this.config.baseUrl, host });
    return isOurs ? returnPath(from.pathname) : '/admin';
  }

  /** Throws `ORIGIN_FORBIDDEN` for a form that another site sends in the owner's name. */
  checkOrigin({ method, headers: { origin, host } }: FastifyRequest): void {
    if (method === 'GET' || method === 'HEAD') return;
    if (isSameOrigin(origin, { baseUrl: this.config.baseUrl, host })) return;
    throw new DomainError('ORIGIN_FORBIDDEN', 'This form was not sent from a page of this server');
  }

  /** Whether the first run is asked for the code that was printed at the start: not on the server's own machine. */
  asksSetupCode(request: FastifyRequest): boolean {
    return !isAtHome(request, this.config.baseUrl);
  }

  mayCreateOwner(request: FastifyRequest, typedCode: string): boolean {
    return !this.asksSetupCode(request) || isSetupCode(this.config.secretKey, typedCode);
  }

  remember(reply: FastifyReply, { token, expiresAt }: OpenedSession): void {
    reply.setCookie(COOKIE, token, { ...this.cookieOptions(), expires: expiresAt });
    this.rememberBrowser(reply);
  }

  private rememberBrowser(reply: FastifyReply): void {
    const expires = new Date(this.clock.now().getTime() + BROWSER_MS);
    const known = signExpiring(
      this.config.secretKey,
      'owner-browser',
      randomBytes(BROWSER_ID_BYTES),
      expires,
    );
    reply.setCookie(BROWSER_COOKIE, known, { ...this.cookieOptions(), path: '/admin', expires });
  }

  /** Of a browser in which somebody has signed in within a year; null for any other. */
  browserId({ cookies }: FastifyRequest): string | null {
    const token = cookies[BROWSER_COOKIE] ?? '';
    const known = verifyExpiring(this.config.secretKey, 'owner-browser', token, this.clock.now());
    if (known === null || known === 'expired') return null;
    return Buffer.from(known.payload).toString('base64url');
  }

  async forget(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    await this.owners.logout(request.cookies[COOKIE]);
    reply.clearCookie(COOKIE, this.cookieOptions());
  }

  private cookieOptions(): { path: string; httpOnly: true; sameSite: 'lax'; secure: boolean } {
    return { path: '/', httpOnly: true, sameSite: 'lax', secure: this.config.baseUrl.startsWith('https:') };
  }
}
