"""The studio: a web page where people paint a mask, set attributes and see faces.

- `limits`: what one person may ask for;
- `codec`, `starts`: masks and pictures that come and go as text; masks to start from;
- `attributes`: the 40 attributes by region, presets, a surprise; `routing_grid`: cells to switch;
- `request`: what a click on "draw" asks for, checked;
- `line`: who is next; `session`: the model that draws; `preview`: faces in the making;
- `endpoints`: what the page may call; errors in words;
- `page` (HTML, CSS, JavaScript), `page_files`, `theme`: the page; `app`, `body_limit`: its server.
"""
