"""A status page for a browser: what agents serve, how it fares, what was changed. It looks, and changes nothing.

Rules of this package:

* It asks agents by their public contracts alone (`agent.client`), over mutual TLS, as every other verb does. Whoever starts it says which agents, as a
  `Fleet`; where these are, in a lab or anywhere, is not known here.
* `view`, `chart` and `moved` are functions of their arguments: what was seen goes in, what is shown comes out. `observing` asks an agent, `watching` asks all
  of them again and again, `app` answers browsers from what was seen last: no request of a browser's asks an agent anything.
* Everything that is shown goes through a template that escapes it. There is no script and no style in a page, nothing from elsewhere, no cookie, and nothing
  but GET. A request that names another host than the page's own is refused: no other site's name leads to it.
* What a browser shows with scripts it shows without, too, by loading the page anew.
"""
