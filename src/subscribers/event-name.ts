/** What an event of the API is called. */
export const EVENT_NAME = /^(?=.{1,100}$)[a-z0-9]+([-_.][a-z0-9]+)*$/;
export const EVENT_NAME_RULE =
  'use lower-case letters, digits and single hyphens, dots or underscores, at most 100 characters';
