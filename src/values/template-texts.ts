/** Texts by the path of their template below `templates/`, such as `pages/squeeze.liquid`. */
export type Texts = Readonly<Record<string, string>>;
/** Ids of stored texts by that path. */
export type KeptTexts = Readonly<Record<string, string>>;
