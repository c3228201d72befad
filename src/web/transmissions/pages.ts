import type { Answer } from '../../apis/contract.ts';
import { dateHtml } from '../grid/parts.ts';
import { html, type Html } from '../html.ts';
import { footer, masthead, renderPage } from '../page.ts';
import type { Post } from './post.ts';

const WORDS = 'What whoever runs this server has to say.';

type Place = { publicUrl: string; version: string };

const homeOf = ({ publicUrl }: Place): string => `${publicUrl}/transmissions`;
const feedOf = (place: Place): string => `${homeOf(place)}/rss.xml`;

/** `/transmissions`: everything there is. */
export const listPage = (posts: readonly Post[], place: Place): Answer =>
  renderPage({
    title: 'Transmissions – Freehold',
    description: WORDS,
    url: homeOf(place),
    feed: feedOf(place),
    style: 'transmissions.css',
    body: html`<body class="transmissions">
      ${masthead('/transmissions')}
      <main>
        <header>
          <h1>Transmissions</h1>
          <p class="lead">${WORDS} There is <a href="/transmissions/rss.xml">a feed</a>.</p>
        </header>
        ${posts.length === 0 ? html`<p class="nothing">Nothing yet.</p>` : postsHtml(posts)}
      </main>
      ${footer(place.version)}
    </body>`,
  });

/** `/transmissions/author/…/`: what one of them has written. */
export const authorPage = (author: Pick<Post, 'author' | 'authorSlug'>, posts: readonly Post[], place: Place): Answer =>
  renderPage({
    title: `${author.author} – Transmissions – Freehold`,
    description: `What ${author.author} has written here.`,
    url: `${homeOf(place)}/author/${author.authorSlug}/`,
    kind: 'profile',
    feed: feedOf(place),
    style: 'transmissions.css',
    body: html`<body class="transmissions">
      ${masthead('/transmissions')}
      <main>
        <header>
          <p class="back"><a href="/transmissions">Transmissions</a></p>
          <h1>${author.author}</h1>
        </header>
        ${postsHtml(posts)}
      </main>
      ${footer(place.version)}
    </body>`,
  });

const postsHtml = (posts: readonly Post[]): Html =>
  html`<ol class="posts">
    ${posts.map(
      (post) =>
        html`<li>
          <article>
            <p class="when">${dateHtml(post.date)}</p>
            <div>
              <h2><a href="/transmissions/${post.slug}">${post.title}</a></h2>
              <p class="summary">${post.summary}</p>
              <p class="by">${authorLink(post)}</p>
            </div>
          </article>
        </li>`,
    )}
  </ol>`;

const authorLink = ({ author, authorSlug }: Post): Html =>
  html`<a href="/transmissions/author/${authorSlug}/">${author}</a>`;

/** One of them. */
export const postPage = (post: Post, place: Place): Answer =>
  renderPage({
    title: `${post.title} – Freehold`,
    description: post.summary,
    url: `${homeOf(place)}/${post.slug}`,
    kind: 'article',
    feed: feedOf(place),
    style: 'transmissions.css',
    body: html`<body class="transmissions">
      ${masthead('/transmissions')}
      <main>
        <article class="post">
          <header>
            <p class="back"><a href="/transmissions">Transmissions</a></p>
            <h1>${post.title}</h1>
            <p class="byline">${dateHtml(post.date)} · ${authorLink(post)}</p>
          </header>
          <div class="prose">${post.body}</div>
        </article>
      </main>
      ${footer(place.version)}
    </body>`,
  });
