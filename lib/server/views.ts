/** Views: the Eta templates, embedded and compiled once, as functions from data to HTML; the only user of Eta. */
import { createHash } from "node:crypto";
import { Eta } from "eta";
import addUsernameTemplate from "../../templates/add_username.eta" with { type: "text" };
import baseTemplate from "../../templates/base.eta" with { type: "text" };
import errorTemplate from "../../templates/error.eta" with { type: "text" };
import homeTemplate from "../../templates/home.eta" with { type: "text" };
import style from "../../templates/style.css" with { type: "text" };

/** What the home page shows. */
export interface HomeView {
  /** The registered name, if there is one. */
  readonly user?: string | undefined;
  /** The message above the page, if there is one. */
  readonly alert?: string | undefined;
  /** When the session ends, in words that follow "in", if there is one. */
  readonly left?: string | undefined;
}

/** What the form shows. */
export interface AddUsernameView {
  /** What was typed before. */
  readonly username: string;
  /** What is wrong with it, if anything. */
  readonly problem?: string | undefined;
}

/** What an error page shows. */
export interface ErrorView {
  readonly status: number;
  readonly message: string;
}

/** The style sheet's text. */
export const styleSheet: string = style;

/** Where pages link the style sheet: a new address for every content, so that it can be cached for good. */
const stylePath = `/style.css?${createHash("sha256").update(style).digest("hex").slice(0, 8)}`;

const eta = new Eta();
eta.loadTemplate("@base", baseTemplate);
eta.loadTemplate("@home", homeTemplate);
eta.loadTemplate("@add_username", addUsernameTemplate);
eta.loadTemplate("@error", errorTemplate);

/** The home page. */
export function renderHome(view: HomeView): string {
  return eta.render("@home", { ...view, stylePath });
}

/** The page with the form. */
export function renderAddUsername(view: AddUsernameView): string {
  return eta.render("@add_username", { ...view, stylePath });
}

/** A page for what did not work. */
export function renderError(view: ErrorView): string {
  return eta.render("@error", { ...view, stylePath });
}
