/** A page of the owner: `template` below templates/admin. The bar around it is added where it is rendered. */
export class Page {
  constructor(
    readonly template: string,
    readonly view: object,
    readonly status = 200,
  ) {}
}

/** Sends the browser on to another page of ours. */
export class SeeOther {
  constructor(readonly path: string) {}
}

/** A mail alone, for the frame: no script runs, no form is sent, nothing is fetched but pictures of ours. */
export class MailFrame {
  constructor(readonly html: string) {}
}

/** A public page alone, as it would look: no script runs, no form is sent, and its styles and pictures are ours. */
export class PageFrame {
  constructor(readonly html: string) {}
}

/** What a handler of the owner's pages answers with, so that it need not know how it is sent. */
export type Answer = Page | SeeOther | MailFrame | PageFrame;
