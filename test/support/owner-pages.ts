import type request from 'supertest';
import type { TestApp } from './app.js';

export const OWNER = { email: 'owner@example.com', password: 'three unrelated words' };

export interface OwnerPages {
  cookie: string;
  get: (path: string) => Promise<string>;
  post: (path: string, form: Record<string, string>) => request.Test;
}

/** The pages of the web app as its signed-in owner asks for them. */
export async function ownerPages(t: Pick<TestApp, 'http'>): Promise<OwnerPages> {
  const answer = await t.http.post('/admin/setup').type('form').send(OWNER).expect(303);
  const cookie = String(answer.headers['set-cookie']).split(';')[0] ?? '';
  return {
    cookie,
    get: async (path) => (await t.http.get(path).set('Cookie', cookie).expect(200)).text,
    post: (path, form) => t.http.post(path).set('Cookie', cookie).type('form').send(form),
  };
}

export const plain = (html: string): string =>
  html
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&#34;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&');

/** What stands in a text box, as a browser reads it: the first line break is not its own. */
export function boxed(html: string, name = 'yaml'): string {
  const [, rest = ''] = html.split(` name="${name}"`);
  return plain(/^[^>]*>\n([\s\S]*?)<\/textarea>/.exec(rest)?.[1] ?? '');
}

export const tokenIn = (html: string): string => /name="token" value="([^"]*)"/.exec(html)?.[1] ?? '';
